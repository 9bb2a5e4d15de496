SELECT l.id, x.m FROM l CROSS JOIN (SELECT MAX(v) AS m FROM r) AS x WHERE l.v < x.m;
