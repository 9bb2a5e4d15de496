-- Deduplication: of all rows with a key the first or the last one, by time. Only one row a key is kept.
--   tidemill run examples/sql/deduplication.sql

CREATE TABLE flights (
  carrier STRING,
  flight INT,
  tailnum STRING,
  origin STRING,
  dest STRING,
  dep_delay INT,
  distance INT,
  `minute` INT,
  time_hour TIMESTAMP_LTZ(3),
  -- When it should have left: the file has the hour and the minute.
  departs AS TIMESTAMPADD(MINUTE, `minute`, CAST(time_hour AS TIMESTAMP(3))),
  -- The file is in the order of actual departures, so by this time some rows come late.
  WATERMARK FOR departs AS departs - INTERVAL '1' DAY
) WITH (
  'connector' = 'filesystem',
  'path' = 'examples/data/flights-2013-01.csv',
  'format' = 'csv',
  'csv.header' = 'by-name',
  'csv.null-literal' = 'NA'
);

-- Where each plane was first seen.
CREATE VIEW first_seen AS
SELECT tailnum, carrier, origin, departs
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY tailnum ORDER BY departs ASC) AS place
  FROM flights
  WHERE tailnum IS NOT NULL
)
WHERE place = 1;

SELECT tailnum, carrier, origin, departs FROM first_seen ORDER BY departs, tailnum LIMIT 5;
SELECT origin, COUNT(*) AS planes FROM first_seen GROUP BY origin ORDER BY origin;
