SELECT tailnum, flight, window_start, window_end FROM TABLE(SESSION(TABLE flights PARTITION BY tailnum, DESCRIPTOR(sched_dep), INTERVAL '4' HOUR)) WHERE carrier = 'OO' OR carrier = 'YV';
