-- UNION: of all rows, or of each row once.
--   tidemill run examples/sql/set-operations.sql

CREATE VIEW flights AS SELECT * FROM 'examples/data/flights-2013-01.csv';

SELECT 'from' AS direction, origin AS airport, COUNT(*) AS flights FROM flights GROUP BY origin
UNION ALL
SELECT 'to', dest, COUNT(*) FROM flights WHERE dest IN ('LAX', 'SFO') GROUP BY dest
ORDER BY direction, airport;

SELECT origin AS airport FROM flights
UNION
SELECT dest FROM flights WHERE dest LIKE 'S%'
ORDER BY airport;
