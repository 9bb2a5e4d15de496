-- The first rows of each window: ROW_NUMBER() over the results of windows, filtered by place.
--   tidemill run examples/sql/window-top-n.sql

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

-- The two busiest airlines of each day.
SELECT window_start, place, carrier, flights
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY flights DESC, carrier) AS place
  FROM (
    SELECT window_start, window_end, carrier, COUNT(*) AS flights
    FROM TABLE(TUMBLE(TABLE flights, DESCRIPTOR(departs), INTERVAL '1' DAY))
    GROUP BY window_start, window_end, carrier
  )
)
WHERE place <= 2
ORDER BY window_start, place
LIMIT 6;
