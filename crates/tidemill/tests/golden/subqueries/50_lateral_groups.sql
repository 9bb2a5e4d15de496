SELECT l.id, x.kk, x.n FROM l, LATERAL (SELECT r.k AS kk, COUNT(*) AS n FROM r WHERE r.v <= l.v GROUP BY r.k) AS x;
