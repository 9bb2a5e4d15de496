SELECT l.id, x.id, x.d FROM l LEFT JOIN LATERAL (SELECT r.id, r.v - l.v AS d FROM r WHERE r.k = l.k AND r.v > l.v) AS x ON TRUE;
