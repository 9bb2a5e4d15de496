SELECT window_start, window_end, carrier, COUNT(*) AS n FROM TABLE(SESSION(TABLE flights PARTITION BY origin, DESCRIPTOR(sched_dep), INTERVAL '2' HOUR)) GROUP BY window_start, window_end, carrier;
