-- Regular joins: both sides are kept, and a row that comes late on either side still finds the others.
--   tidemill run examples/sql/joins.sql

CREATE VIEW flights AS
SELECT * FROM 'examples/data/flights-2013-01.csv' /*+ OPTIONS('csv.null-literal' = 'NA') */;
CREATE VIEW airlines AS SELECT * FROM 'examples/data/airlines.csv';
CREATE VIEW planes AS
SELECT * FROM 'examples/data/planes.csv' /*+ OPTIONS('csv.null-literal' = 'NA') */;
CREATE VIEW airports AS SELECT * FROM 'examples/data/airports.csv';

-- Inner: names instead of codes.
SELECT name, COUNT(*) AS flights
FROM flights JOIN airlines ON flights.carrier = airlines.carrier
GROUP BY name
ORDER BY flights DESC
LIMIT 3;

-- Left: flights whose plane nobody knows are kept.
SELECT flights.carrier, COUNT(*) AS flights, COUNT(planes.tailnum) AS known_planes
FROM flights LEFT JOIN planes ON flights.tailnum = planes.tailnum
GROUP BY flights.carrier
ORDER BY carrier;

-- Semi: flights to airports above 1,500 m; nothing of the airports comes out.
SELECT dest, COUNT(*) AS flights
FROM flights
WHERE dest IN (SELECT faa FROM airports WHERE alt > 5000)
GROUP BY dest
ORDER BY dest;

-- Anti: airlines whose planes none is known of.
SELECT carrier, name
FROM airlines
WHERE NOT EXISTS (
  SELECT 1 FROM flights JOIN planes ON flights.tailnum = planes.tailnum
  WHERE flights.carrier = airlines.carrier
)
ORDER BY carrier;
