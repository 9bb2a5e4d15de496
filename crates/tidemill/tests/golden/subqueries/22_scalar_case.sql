SELECT id, CASE WHEN v > (SELECT AVG(v) FROM l) THEN 'hi' ELSE 'lo' END AS c, v * 100 / (SELECT SUM(v) FROM l) AS pct FROM l;
