-- A month of flights from New York. In the root of the project:
--   cargo run --release --bin tidemill -- run examples/flights.sql

CREATE TABLE flights (
  `year` INT,
  `month` INT,
  `day` INT,
  sched_dep_time INT,
  dep_delay INT,
  carrier STRING,
  tailnum STRING,
  origin STRING,
  dest STRING,
  distance INT,
  -- 515 is 05:15.
  departs AS TO_TIMESTAMP(PRINTF('%d-%02d-%02d %02d:%02d:00', `year`, `month`, `day`, sched_dep_time / 100, sched_dep_time % 100)),
  -- The file is in the order of actual departures, so some rows come late.
  WATERMARK FOR departs AS departs - INTERVAL '1' DAY
) WITH (
  'connector' = 'filesystem',
  'path' = 'examples/data/flights-2013-01.csv',
  'format' = 'csv',
  'csv.header' = 'by-name',
  'csv.null-literal' = 'NA'
);

CREATE TABLE airlines (
  carrier STRING,
  name STRING
) WITH (
  'connector' = 'filesystem',
  'path' = 'examples/data/airlines.csv',
  'format' = 'csv',
  'csv.header' = 'by-name'
);

-- The days on which flights were delayed most.
SET 'pipeline.name' = 'worst days';
SELECT DATE_FORMAT(window_start, 'yyyy-MM-dd') AS on_day, flights, ROUND(mean_delay, 1) AS mean_delay
FROM (
  SELECT window_start, COUNT(*) AS flights, AVG(CAST(dep_delay AS DOUBLE)) AS mean_delay
  FROM TABLE(TUMBLE(TABLE flights, DESCRIPTOR(departs), INTERVAL '1' DAY))
  GROUP BY window_start, window_end
)
ORDER BY mean_delay DESC
LIMIT 5;

-- How the airlines did.
SET 'pipeline.name' = 'airlines';
SELECT name, COUNT(*) AS flights, COUNT(DISTINCT tailnum) AS planes,
  COUNT(*) FILTER (WHERE dep_delay IS NULL) AS cancelled, MAX(dep_delay) AS worst_delay
FROM flights JOIN airlines ON flights.carrier = airlines.carrier
GROUP BY name
ORDER BY flights DESC, name;

-- The three busiest routes from each airport.
SET 'pipeline.name' = 'busiest routes';
SELECT origin, dest, flights, place
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY origin ORDER BY flights DESC, dest) AS place
  FROM (SELECT origin, dest, COUNT(*) AS flights FROM flights GROUP BY origin, dest)
)
WHERE place <= 3
ORDER BY origin, place;
