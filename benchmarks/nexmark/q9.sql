-- The winning bid of each auction.
CREATE TABLE q9 (id BIGINT, item_name STRING, description STRING, initial_bid BIGINT, reserve BIGINT,
  event_time TIMESTAMP(3), expires TIMESTAMP(3), seller BIGINT, category BIGINT, extra STRING, auction BIGINT,
  bidder BIGINT, price BIGINT, bid_time TIMESTAMP(3), bid_extra STRING)
WITH ('connector' = 'blackhole');

INSERT INTO q9
SELECT id, item_name, description, initial_bid, reserve, event_time, expires, seller, category, extra, auction, bidder,
  price, bid_time, bid_extra
FROM (
  SELECT a.*, b.auction, b.bidder, b.price, b.event_time AS bid_time, b.extra AS bid_extra,
    ROW_NUMBER() OVER (PARTITION BY a.id ORDER BY b.price DESC, b.event_time ASC) AS place
  FROM auction AS a, bid AS b
  WHERE a.id = b.auction AND b.event_time BETWEEN a.event_time AND a.expires
)
WHERE place <= 1;
