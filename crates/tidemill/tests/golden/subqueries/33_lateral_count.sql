SELECT l.id, x.n, x.m FROM l, LATERAL (SELECT COUNT(*) AS n, MAX(r.v) AS m FROM r WHERE r.k = l.k) AS x;
