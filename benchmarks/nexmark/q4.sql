-- The mean of the winning bids of each category.
CREATE TABLE q4 (category BIGINT, final BIGINT) WITH ('connector' = 'blackhole');

INSERT INTO q4
SELECT q.category, AVG(q.final)
FROM (
  SELECT MAX(b.price) AS final, a.category
  FROM auction AS a, bid AS b
  WHERE a.id = b.auction AND b.event_time BETWEEN a.event_time AND a.expires
  GROUP BY a.id, a.category
) AS q
GROUP BY q.category;
