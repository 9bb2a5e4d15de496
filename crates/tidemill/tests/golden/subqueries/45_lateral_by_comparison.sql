SELECT l.id, x.rid FROM l, LATERAL (SELECT r.id AS rid FROM r WHERE r.v < l.v) AS x;
