SELECT * FROM ticker MATCH_RECOGNIZE (PARTITION BY symbol ORDER BY ts, seq MEASURES A.seq AS a, B.seq AS b PATTERN (A B?) DEFINE A AS A.price > 30, B AS B.price < 30) AS T;
