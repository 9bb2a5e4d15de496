SELECT id, v FROM l WHERE (SELECT COUNT(*) FROM r WHERE r.k = l.k) >= 2;
