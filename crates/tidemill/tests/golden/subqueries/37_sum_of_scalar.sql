SELECT k, SUM((SELECT MAX(r.v) FROM r WHERE r.k = l.k)) AS s FROM l GROUP BY k;
