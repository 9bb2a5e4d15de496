-- All bids, as they are: what it costs to pass them on.
CREATE TABLE q0 (auction BIGINT, bidder BIGINT, price BIGINT, event_time TIMESTAMP(3), extra STRING)
WITH ('connector' = 'blackhole');

INSERT INTO q0
SELECT auction, bidder, price, event_time, extra FROM bid;
