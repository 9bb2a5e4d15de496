SELECT id, v FROM l WHERE v > (SELECT AVG(r.v) FROM r WHERE r.k = l.k);
