SELECT (SELECT MAX(r.v) FROM r WHERE r.k = l.k) AS m, COUNT(*) AS n FROM l GROUP BY (SELECT MAX(r.v) FROM r WHERE r.k = l.k);
