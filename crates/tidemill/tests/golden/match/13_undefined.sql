SELECT * FROM ticker MATCH_RECOGNIZE (PARTITION BY symbol ORDER BY ts, seq MEASURES A.seq AS a, B.seq AS b, C.seq AS c, C.price AS p PATTERN (A B C) DEFINE C AS C.price > 30) AS T;
