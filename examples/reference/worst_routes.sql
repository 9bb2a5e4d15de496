-- Per UTC day of scheduled departure: the three routes with the largest total departure delay.
WITH route AS (
    SELECT
        date_trunc('day', scheduled) AS day,
        origin || '-' || dest AS route,
        count(dep_delay) AS departures,
        CAST(sum(dep_delay) AS BIGINT) AS total_dep_delay
    FROM flight
    GROUP BY ALL
    HAVING count(dep_delay) > 0
)
SELECT
    strftime(day, '%Y-%m-%d') AS day,
    row_number() OVER (PARTITION BY day ORDER BY total_dep_delay DESC, route) AS rank,
    route,
    departures,
    total_dep_delay
FROM route
QUALIFY rank <= 3
ORDER BY day, rank
