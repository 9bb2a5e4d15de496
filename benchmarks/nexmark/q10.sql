-- All bids into files, by day and minute. The folder is put in for ${FOLDER}.
CREATE TABLE q10 (auction BIGINT, bidder BIGINT, price BIGINT, event_time TIMESTAMP(3), extra STRING, dt STRING, hm STRING)
PARTITIONED BY (dt, hm)
WITH (
  'connector' = 'filesystem',
  'path' = 'file://${FOLDER}/q10',
  'format' = 'csv',
  'sink.partition-commit.trigger' = 'partition-time',
  'sink.partition-commit.delay' = '1 min',
  'sink.partition-commit.policy.kind' = 'success-file',
  'partition.time-extractor.timestamp-pattern' = '$dt $hm:00',
  'sink.rolling-policy.rollover-interval' = '1 min',
  'sink.rolling-policy.check-interval' = '1 min'
);

INSERT INTO q10
SELECT auction, bidder, price, event_time, extra, DATE_FORMAT(event_time, 'yyyy-MM-dd'), DATE_FORMAT(event_time, 'HH:mm')
FROM bid;
