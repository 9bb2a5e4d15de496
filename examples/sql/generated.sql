-- Sources that make their rows up: datagen for any table, nexmark for an auction site.
--   tidemill run examples/sql/generated.sql

CREATE TABLE readings (sensor INT, reading DOUBLE) WITH (
  'connector' = 'datagen',
  'number-of-rows' = '10000',
  'rows-per-second' = '1000000',
  'seed' = '7',
  'fields.sensor.min' = '1',
  'fields.sensor.max' = '3',
  'fields.reading.min' = '0',
  'fields.reading.max' = '100'
);

SELECT sensor, COUNT(*) > 3000 AS has_many, MAX(reading) <= 100 AS is_in_range
FROM readings
GROUP BY sensor
ORDER BY sensor;

CREATE TABLE nexmark (
  event_type INT,
  bid ROW<auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, url STRING, `dateTime` TIMESTAMP(3), extra STRING>
) WITH ('connector' = 'nexmark', 'events.num' = '100000');

SELECT bid.channel AS channel, COUNT(*) AS bids, MAX(bid.price) AS highest
FROM nexmark
WHERE event_type = 2
GROUP BY bid.channel
ORDER BY bids DESC, channel
LIMIT 4;
