SELECT carrier, n, hubs, SUM(n) OVER (PARTITION BY hubs ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS flights
FROM (SELECT a.carrier, a.n, b.hubs FROM
  (SELECT carrier, COUNT(*) AS n FROM flights GROUP BY carrier) a
  LEFT JOIN (SELECT carrier, COUNT(DISTINCT origin) AS hubs FROM flights WHERE distance > 2000 GROUP BY carrier) b ON a.carrier = b.carrier);
