-- Each bid with a value that is looked up in a file. The folder of the file is put in for ${FOLDER}.
CREATE TABLE side_input (`key` BIGINT, `value` STRING)
WITH ('connector' = 'filesystem', 'path' = 'file://${FOLDER}/side_input.csv', 'format' = 'csv');

CREATE TABLE q13 (auction BIGINT, bidder BIGINT, price BIGINT, event_time TIMESTAMP(3), `value` STRING)
WITH ('connector' = 'blackhole');

INSERT INTO q13
SELECT b.auction, b.bidder, b.price, b.event_time, s.`value`
FROM (SELECT *, PROCTIME() AS clock_time FROM bid) AS b
JOIN side_input FOR SYSTEM_TIME AS OF b.clock_time AS s
ON MOD(b.auction, 10000) = s.`key`;
