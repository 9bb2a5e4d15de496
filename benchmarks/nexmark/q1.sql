-- Prices in another currency.
CREATE TABLE q1 (auction BIGINT, bidder BIGINT, price DECIMAL(23, 3), event_time TIMESTAMP(3), extra STRING)
WITH ('connector' = 'blackhole');

INSERT INTO q1
SELECT auction, bidder, 0.908 * price AS price, event_time, extra FROM bid;
