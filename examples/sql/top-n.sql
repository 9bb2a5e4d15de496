-- The first rows of groups that go on changing: places are taken and lost while rows come in.
--   tidemill run examples/sql/top-n.sql

CREATE VIEW routes AS
SELECT origin, dest, COUNT(*) AS flights
FROM 'examples/data/flights-2013-01.csv'
GROUP BY origin, dest;

SELECT origin, place, dest, flights
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY origin ORDER BY flights DESC, dest) AS place
  FROM routes
)
WHERE place <= 3
ORDER BY origin, place;

-- The same without groups.
SELECT origin, dest, flights FROM routes ORDER BY flights DESC LIMIT 3;
