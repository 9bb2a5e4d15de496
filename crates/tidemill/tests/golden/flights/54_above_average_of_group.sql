SELECT f.carrier, COUNT(*) AS n, SUM(f.dep_delay) AS minutes
FROM flights AS f
WHERE f.flight < 60 AND f.dep_delay > (
  SELECT AVG(g.dep_delay) FROM flights AS g WHERE g.carrier = f.carrier AND g.flight < 60 AND g.dep_delay > 0)
GROUP BY f.carrier;
