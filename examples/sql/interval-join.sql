-- Interval joins: rows of two streams that are near each other in time. What is too old for any other row is forgotten.
--   tidemill run examples/sql/interval-join.sql

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

-- Planes that leave New York again within four hours.
SELECT a.tailnum, a.departs AS first_flight, a.dest AS first_dest, b.departs AS next_flight, b.dest AS next_dest
FROM flights a JOIN flights b
ON a.tailnum = b.tailnum
  AND b.departs > a.departs
  AND b.departs <= a.departs + INTERVAL '4' HOUR
ORDER BY first_flight, tailnum
LIMIT 5;
