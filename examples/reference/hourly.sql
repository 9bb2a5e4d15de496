-- Per airport and hour of scheduled departure: how much, how late, and the weather.
WITH hourly AS (
    SELECT
        hour,
        origin,
        count(*) AS flights,
        count(*) FILTER (WHERE dep_time IS NULL) AS cancelled,
        CAST(sum(dep_delay) AS BIGINT) AS total,
        count(dep_delay) AS n,
        list_sort(list(dep_delay) FILTER (WHERE dep_delay IS NOT NULL)) AS delays
    FROM flight
    GROUP BY hour, origin
)
SELECT
    iso(hour) AS hour,
    origin,
    flights,
    cancelled,
    CASE WHEN n > 0 THEN decimal2(total, n) END AS mean_dep_delay,
    -- Nearest rank: ceil(0.95 n), counted from 1, in integers.
    CASE WHEN n > 0 THEN delays[(95 * n + 99) // 100] END AS p95_dep_delay,
    temp,
    wind_speed,
    precip,
    visib
FROM hourly
LEFT JOIN weather USING (hour, origin)
ORDER BY hour, origin
