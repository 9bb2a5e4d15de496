-- The mean of the last ten winning bids of each seller. Flink cannot run it: its OVER takes no updates.
CREATE TABLE q6 (seller BIGINT, avg_price BIGINT) WITH ('connector' = 'blackhole');

INSERT INTO q6
SELECT seller, AVG(price) OVER (PARTITION BY seller ORDER BY event_time ROWS BETWEEN 10 PRECEDING AND CURRENT ROW)
FROM (
  SELECT id, seller, price, event_time,
    ROW_NUMBER() OVER (PARTITION BY id, seller ORDER BY price DESC) AS place
  FROM (
    SELECT a.id, a.seller, b.price, b.event_time
    FROM auction AS a, bid AS b
    WHERE a.id = b.auction AND b.event_time BETWEEN a.event_time AND a.expires
  )
)
WHERE place <= 1;
