-- DISTINCT: of rows, and within aggregates, each with its own condition.
--   tidemill run examples/sql/distinct.sql

CREATE VIEW flights AS
SELECT * FROM 'examples/data/flights-2013-01.csv' /*+ OPTIONS('csv.null-literal' = 'NA') */;

SELECT DISTINCT carrier, origin FROM flights WHERE dest = 'LAX' ORDER BY carrier, origin;

SELECT origin,
  COUNT(DISTINCT tailnum) AS planes,
  COUNT(DISTINCT tailnum) FILTER (WHERE dep_delay IS NULL) AS planes_cancelled,
  COUNT(DISTINCT dest) AS destinations
FROM flights
GROUP BY origin
ORDER BY origin;
