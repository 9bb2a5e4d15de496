CREATE TABLE flights (
  sched_dep TIMESTAMP(3),
  dep_time INT,
  dep_delay INT,
  arr_delay INT,
  carrier STRING,
  flight INT,
  tailnum STRING,
  origin STRING,
  dest STRING,
  air_time INT,
  distance INT,
  WATERMARK FOR sched_dep AS sched_dep - INTERVAL '5' MINUTE
) WITH ('connector'='filesystem','path'='${DATA}/flights/data/flights.csv','format'='csv','csv.null-literal'='NA');

CREATE TABLE ticker (
  ts TIMESTAMP(3),
  symbol STRING,
  price INT,
  seq INT,
  qty DOUBLE,
  amount DECIMAL(10, 2),
  note STRING,
  proc AS PROCTIME(),
  WATERMARK FOR ts AS ts - INTERVAL '4' SECOND
) WITH ('connector'='filesystem','path'='${DATA}/match/data/ticker.csv','format'='csv','csv.null-literal'='');

CREATE TABLE zoned (
  ts TIMESTAMP(3),
  symbol STRING,
  price INT,
  seq INT,
  qty DOUBLE,
  amount DECIMAL(10, 2),
  note STRING,
  lts AS CAST(ts AS TIMESTAMP_LTZ(3)),
  WATERMARK FOR lts AS lts - INTERVAL '4' SECOND
) WITH ('connector'='filesystem','path'='${DATA}/match/data/ticker.csv','format'='csv','csv.null-literal'='');

CREATE VIEW rises AS SELECT * FROM ticker MATCH_RECOGNIZE (
  PARTITION BY symbol ORDER BY ts, seq
  MEASURES B.price - A.price AS up, MATCH_ROWTIME() AS mt
  AFTER MATCH SKIP TO NEXT ROW
  PATTERN (A B) DEFINE B AS B.price > A.price
);

CREATE TABLE rising (
  k STRING,
  ts TIMESTAMP(3),
  p INT,
  WATERMARK FOR ts AS ts - INTERVAL '1' SECOND
) WITH ('connector'='filesystem','path'='${DATA}/match/data/rising.csv','format'='csv');
