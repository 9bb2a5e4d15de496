SELECT id, (SELECT MAX(r.v) FROM r WHERE r.k = l.k) AS m FROM l;
