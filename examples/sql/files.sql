-- Files without tables: a path in quotes stands in FROM, and the columns are found out. Paths are relative to the working
-- directory; folders, patterns and compressed files work, too.
--   tidemill run examples/sql/files.sql

SELECT origin, COUNT(*) AS flights, AVG(distance) AS mean_distance
FROM 'examples/data/flights-2013-01.csv'
GROUP BY origin
ORDER BY origin;

-- How the file is to be read is said by options in a hint: here, what stands for NULL.
SELECT carrier, MAX(dep_delay) AS worst_delay
FROM 'examples/data/flights-2013-01.csv' /*+ OPTIONS('csv.null-literal' = 'NA') */
GROUP BY carrier
ORDER BY worst_delay DESC
LIMIT 3;
