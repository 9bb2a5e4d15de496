SELECT f.carrier, f.flight, f.dep_delay
FROM flights AS f
WHERE f.dep_delay >= ALL (SELECT g.dep_delay FROM flights AS g WHERE g.origin = 'LGA' AND g.dep_delay > 300)
  AND f.dep_delay > ANY (SELECT g.arr_delay FROM flights AS g WHERE g.carrier = f.carrier);
