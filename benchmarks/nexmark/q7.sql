-- The highest bids of ten seconds, by a join with what was highest.
CREATE TABLE q7 (auction BIGINT, bidder BIGINT, price BIGINT, event_time TIMESTAMP(3), extra STRING)
WITH ('connector' = 'blackhole');

INSERT INTO q7
SELECT b.auction, b.bidder, b.price, b.event_time, b.extra
FROM bid AS b
JOIN (
  SELECT MAX(price) AS most, window_end AS until_time
  FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(event_time), INTERVAL '10' SECOND))
  GROUP BY window_start, window_end
) AS highest
ON b.price = highest.most
WHERE b.event_time BETWEEN highest.until_time - INTERVAL '10' SECOND AND highest.until_time;
