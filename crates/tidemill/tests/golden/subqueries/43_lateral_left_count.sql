SELECT l.id, x.n, x.m FROM l LEFT JOIN LATERAL (SELECT COUNT(*) AS n, MAX(r.v) AS m FROM r WHERE r.k = l.k) AS x ON TRUE;
