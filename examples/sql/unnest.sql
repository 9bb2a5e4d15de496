-- UNNEST: a row for each element of an array.
--   tidemill run examples/sql/unnest.sql

-- Each flight counts at both of its airports.
SELECT airport, COUNT(*) AS flights
FROM 'examples/data/flights-2013-01.csv'
CROSS JOIN UNNEST(ARRAY[origin, dest]) AS ends (airport)
GROUP BY airport
ORDER BY flights DESC, airport
LIMIT 5;

-- With the place of each element.
SELECT word, place
FROM (VALUES ('a stream of words')) AS sentences (sentence)
CROSS JOIN UNNEST(SPLIT(sentence, ' ')) WITH ORDINALITY AS words (word, place)
ORDER BY place;
