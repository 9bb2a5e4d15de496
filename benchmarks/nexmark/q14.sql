-- Calculations on bids of some prices. Nexmark counts characters by a function in Java; this is the same in SQL.
CREATE TABLE q14 (auction BIGINT, bidder BIGINT, price DECIMAL(23, 3), time_type STRING, event_time TIMESTAMP(3),
  extra STRING, c_counts INT)
WITH ('connector' = 'blackhole');

INSERT INTO q14
SELECT auction, bidder, 0.908 * price AS price,
  CASE
    WHEN HOUR(event_time) >= 8 AND HOUR(event_time) <= 18 THEN 'dayTime'
    WHEN HOUR(event_time) <= 6 OR HOUR(event_time) >= 20 THEN 'nightTime'
    ELSE 'otherTime'
  END AS time_type,
  event_time, extra, CHAR_LENGTH(extra) - CHAR_LENGTH(REPLACE(extra, 'c', '')) AS c_counts
FROM bid
WHERE 0.908 * price > 1000000 AND 0.908 * price < 50000000;
