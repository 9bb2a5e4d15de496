SELECT dest, carrier, n, SUM(n) OVER w AS up_to, COUNT(*) OVER w AS carriers, AVG(mean_delay) OVER w AS mean_up_to, MIN(mean_delay) OVER w AS least
FROM (SELECT dest, carrier, COUNT(*) AS n, AVG(dep_delay) AS mean_delay FROM flights WHERE origin = 'LGA' GROUP BY dest, carrier)
WINDOW w AS (PARTITION BY dest ORDER BY n RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW);
