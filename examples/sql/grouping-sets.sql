-- GROUPING SETS, CUBE and ROLLUP: several groupings of the same rows at once.
--   tidemill run examples/sql/grouping-sets.sql

SELECT origin, carrier, GROUPING(carrier) AS is_total, COUNT(*) AS flights
FROM 'examples/data/flights-2013-01.csv'
WHERE carrier IN ('AA', 'B6', 'UA')
GROUP BY ROLLUP (origin, carrier)
ORDER BY origin NULLS LAST, is_total, carrier;
