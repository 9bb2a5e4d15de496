SELECT id, v FROM l WHERE v < ANY (SELECT v FROM r WHERE r.k = l.k);
