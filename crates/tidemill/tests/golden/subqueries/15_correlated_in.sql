SELECT id, k FROM l WHERE v IN (SELECT v FROM r WHERE r.k = l.k);
