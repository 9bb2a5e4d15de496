SELECT id, k FROM l WHERE (k, id) IN (SELECT k, id FROM r);
