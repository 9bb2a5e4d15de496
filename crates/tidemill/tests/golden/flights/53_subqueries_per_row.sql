SELECT a.faa,
  (SELECT COUNT(*) FROM flights AS f WHERE f.dest = a.faa AND f.dep_delay > 60) AS late,
  (SELECT MAX(f.dep_delay) FROM flights AS f WHERE f.dest = a.faa) AS most,
  EXISTS (SELECT 1 FROM flights AS f WHERE f.dest = a.faa AND f.origin = 'JFK') AS from_jfk
FROM airports AS a
WHERE a.faa IN (SELECT dest FROM flights WHERE distance > 700) OR a.alt > 7000;
