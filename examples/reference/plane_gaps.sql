-- Per plane: every gap of more than 48 hours between two consecutive flights that took place.
WITH flown AS (
    SELECT
        tailnum,
        scheduled AS next,
        lag(scheduled) OVER (PARTITION BY tailnum ORDER BY scheduled) AS previous
    FROM flight
    WHERE tailnum IS NOT NULL AND dep_time IS NOT NULL
)
SELECT
    tailnum,
    iso(previous) AS "from",
    iso(next) AS "to",
    decimal2(date_diff('minute', previous, next), 60) AS gap_hours,
    manufacturer,
    model
FROM flown
LEFT JOIN plane USING (tailnum)
WHERE date_diff('minute', previous, next) > 48 * 60
ORDER BY tailnum, previous
