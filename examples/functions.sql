-- What examples/functions.rs adds to SQL. In the root of the project:
--   cargo run --release --example functions -- run examples/functions.sql

CREATE TEMPORARY VIEW people AS
SELECT * FROM (VALUES
  ('Ada Lovelace', 'analyst engine notes', 1.0),
  ('Alan Turing', 'machine', 2.0),
  ('Grace Hopper', 'compiler notes', 4.0),
  ('Kurt Gödel', '', 8.0)
) AS t (name, words, weight);

-- A scalar function.
SELECT name, INITIALS(name) AS initials FROM people;

-- A table function; LEFT JOIN keeps people without words.
SELECT name, word, place
FROM people LEFT JOIN LATERAL TABLE(WORDS(words)) AS w (word, place) ON TRUE;

-- An aggregate function over what a table function makes, and over rows that are updated.
SELECT word, GEOMETRIC_MEAN(weight) AS mean
FROM people, LATERAL TABLE(WORDS(words)) AS w (word, place)
GROUP BY word;

SELECT GEOMETRIC_MEAN(n) AS mean
FROM (SELECT word, CAST(COUNT(*) AS DOUBLE) AS n
      FROM people, LATERAL TABLE(WORDS(words)) AS w (word, place)
      GROUP BY word);
