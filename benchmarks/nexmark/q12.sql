-- How many bids somebody makes in ten seconds of the clock.
CREATE TABLE q12 (bidder BIGINT, bid_count BIGINT, start_time TIMESTAMP(3), end_time TIMESTAMP(3))
WITH ('connector' = 'blackhole');

CREATE VIEW clocked_bid AS SELECT *, PROCTIME() AS clock_time FROM bid;

INSERT INTO q12
SELECT bidder, COUNT(*) AS bid_count, window_start, window_end
FROM TABLE(TUMBLE(TABLE clocked_bid, DESCRIPTOR(clock_time), INTERVAL '10' SECOND))
GROUP BY bidder, window_start, window_end;
