-- A statement set: several tables are written by one job, which reads its source once.
--   tidemill run examples/sql/statement-set.sql

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

-- The first column of the printed lines is what happened to the row.
CREATE TABLE days (at_day TIMESTAMP(3), flights BIGINT)
WITH ('connector' = 'print', 'print-identifier' = 'day');

CREATE TABLE carriers (carrier STRING, flights BIGINT)
WITH ('connector' = 'blackhole');

EXECUTE STATEMENT SET
BEGIN
  INSERT INTO days
  SELECT window_start, COUNT(*)
  FROM TABLE(TUMBLE(TABLE flights, DESCRIPTOR(departs), INTERVAL '7' DAY))
  GROUP BY window_start, window_end;

  INSERT INTO carriers SELECT carrier, COUNT(*) FROM flights GROUP BY carrier;
END;
