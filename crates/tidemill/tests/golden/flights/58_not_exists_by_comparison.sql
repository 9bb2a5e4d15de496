SELECT p.manufacturer, p.model, p.seats
FROM planes AS p
WHERE p.built >= 2010 AND NOT EXISTS (
  SELECT 1 FROM planes AS q WHERE q.built >= 2010 AND q.manufacturer = p.manufacturer AND q.seats > p.seats);
