SELECT id, (SELECT COUNT(*) FROM r WHERE r.v < l.v) AS below FROM l;
