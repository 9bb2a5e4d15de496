SELECT window_start, symbol, COUNT(*) AS n, SUM(up) AS ups FROM TABLE(TUMBLE(TABLE rises, DESCRIPTOR(mt), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, symbol;
