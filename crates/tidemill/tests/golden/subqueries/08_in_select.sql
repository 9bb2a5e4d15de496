SELECT id, id IN (SELECT id FROM r) AS e FROM l;
