SELECT id, v FROM l WHERE EXISTS (SELECT 1 FROM r WHERE r.v > l.v AND r.k <> l.k) AND NOT EXISTS (SELECT 1 FROM r WHERE r.id = l.id AND r.v = l.v);
