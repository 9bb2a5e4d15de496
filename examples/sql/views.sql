-- Views, common table expressions and sub-queries: what is read twice runs once.
--   tidemill run examples/sql/views.sql

CREATE VIEW delays AS
SELECT carrier, origin, dep_delay
FROM 'examples/data/flights-2013-01.csv' /*+ OPTIONS('csv.null-literal' = 'NA') */
WHERE dep_delay IS NOT NULL;

DESCRIBE delays;

WITH by_carrier AS (
  SELECT carrier, COUNT(*) AS flights, AVG(CAST(dep_delay AS DOUBLE)) AS mean_delay
  FROM delays
  GROUP BY carrier
)
SELECT carrier, flights, ROUND(mean_delay, 1) AS mean_delay
FROM by_carrier
WHERE mean_delay > (SELECT AVG(CAST(dep_delay AS DOUBLE)) FROM delays)
ORDER BY by_carrier.mean_delay DESC;

-- The plan shows what is shared, and which changes flow.
EXPLAIN CHANGELOG_MODE
SELECT origin, COUNT(*) FROM delays GROUP BY origin;
