SELECT a.name, x.origin, x.n, x.far
FROM airlines AS a LEFT JOIN LATERAL (
  SELECT f.origin, COUNT(*) AS n, MAX(f.distance) AS far
  FROM flights AS f WHERE f.carrier = a.carrier AND f.dep_delay > 120
  GROUP BY f.origin) AS x ON TRUE;
