SELECT * FROM ticker MATCH_RECOGNIZE (PARTITION BY symbol ORDER BY ts, seq MEASURES FIRST(A.seq) AS a, B.seq AS b PATTERN (A{2} B) DEFINE A AS A.price > 15, B AS B.price > PREV(A.price, 1)) AS T;
