-- Windows: TUMBLE, HOP and CUMULATE cut event time, and a row of results comes out when the watermark passes its end.
--   tidemill run examples/sql/windows.sql

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

-- Each day for itself.
SELECT window_start, COUNT(*) AS flights, COUNT(*) FILTER (WHERE dep_delay > 60) AS an_hour_late
FROM TABLE(TUMBLE(TABLE flights, DESCRIPTOR(departs), INTERVAL '1' DAY))
GROUP BY window_start, window_end
ORDER BY window_start
LIMIT 7;

-- Twelve hours, anew every six: each flight counts in two windows.
SELECT window_start, window_end, COUNT(*) AS flights
FROM TABLE(HOP(TABLE flights, DESCRIPTOR(departs), INTERVAL '6' HOUR, INTERVAL '12' HOUR))
GROUP BY window_start, window_end
ORDER BY window_start
LIMIT 4;

-- The day so far, every six hours.
SELECT window_start, window_end, COUNT(*) AS flights_so_far
FROM TABLE(CUMULATE(TABLE flights, DESCRIPTOR(departs), INTERVAL '6' HOUR, INTERVAL '1' DAY))
GROUP BY window_start, window_end
ORDER BY window_start, window_end
LIMIT 4;
