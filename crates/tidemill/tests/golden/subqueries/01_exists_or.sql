SELECT id, k FROM l WHERE EXISTS (SELECT 1 FROM r WHERE r.k = l.k AND r.v > 5) OR l.v > 30;
