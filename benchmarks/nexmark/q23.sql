-- Each bid with its bidder and with all that the bidder sells: a join of three tables.
CREATE TABLE q23 (bidder BIGINT, price BIGINT, channel STRING, url STRING, bid_extra STRING, person_id BIGINT, name STRING,
  email STRING, credit_card STRING, city STRING, state STRING, person_extra STRING, item_name STRING, description STRING,
  initial_bid BIGINT, reserve BIGINT, auction_time TIMESTAMP(3), expires TIMESTAMP(3), seller BIGINT, category BIGINT,
  auction_extra STRING)
WITH ('connector' = 'blackhole');

INSERT INTO q23
SELECT b.bidder, b.price, b.channel, b.url, b.extra,
  p.id, p.name, p.email, p.credit_card, p.city, p.state, p.extra,
  a.item_name, a.description, a.initial_bid, a.reserve, a.event_time, a.expires, a.seller, a.category, a.extra
FROM bid AS b
JOIN person AS p ON p.id = b.bidder
JOIN auction AS a ON a.seller = b.bidder;
