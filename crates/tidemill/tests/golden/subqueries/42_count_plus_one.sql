SELECT id, 1 + (SELECT COUNT(r.v) FROM r WHERE r.k = l.k AND r.v > 10) AS c FROM l WHERE (SELECT COUNT(*) FROM r WHERE r.k = l.k) = 0;
