-- Joins of windows: what two streams did in the same hour.
--   tidemill run examples/sql/window-join.sql

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

CREATE TABLE weather (
  origin STRING,
  temp DOUBLE,
  wind_speed DOUBLE,
  time_hour TIMESTAMP_LTZ(3),
  at_hour AS CAST(time_hour AS TIMESTAMP(3)),
  WATERMARK FOR at_hour AS at_hour
) WITH (
  'connector' = 'filesystem',
  'path' = 'examples/data/weather-2013-01.csv',
  'format' = 'csv',
  'csv.header' = 'by-name',
  'csv.null-literal' = 'NA'
);

-- The windiest hours, and how late flights left in them.
SELECT f.window_start, f.origin, f.flights, f.mean_delay, w.wind
FROM (
  SELECT window_start, window_end, origin, COUNT(*) AS flights, AVG(dep_delay) AS mean_delay
  FROM TABLE(TUMBLE(TABLE flights, DESCRIPTOR(departs), INTERVAL '1' HOUR))
  GROUP BY window_start, window_end, origin
) f
JOIN (
  SELECT window_start, window_end, origin, MAX(wind_speed) AS wind
  FROM TABLE(TUMBLE(TABLE weather, DESCRIPTOR(at_hour), INTERVAL '1' HOUR))
  GROUP BY window_start, window_end, origin
) w
ON f.origin = w.origin AND f.window_start = w.window_start AND f.window_end = w.window_end
ORDER BY w.wind DESC, f.window_start
LIMIT 5;
