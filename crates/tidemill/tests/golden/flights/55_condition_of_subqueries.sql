SELECT f.origin, f.carrier, COUNT(*) AS n
FROM flights AS f
WHERE f.dep_delay > 400
  OR f.tailnum IN (SELECT p.tailnum FROM planes AS p WHERE p.built < 1970)
  OR NOT EXISTS (SELECT 1 FROM airports AS a WHERE a.faa = f.dest)
GROUP BY f.origin, f.carrier;
