SELECT l.id, r.id FROM l JOIN r ON l.k = r.k AND r.v >= (SELECT AVG(v) FROM r);
