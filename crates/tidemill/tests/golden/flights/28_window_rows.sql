SELECT flight, sched_dep, window_start, window_end, window_time FROM TABLE(HOP(TABLE flights, DESCRIPTOR(sched_dep), INTERVAL '30' MINUTE, INTERVAL '1' HOUR)) WHERE carrier = 'HA';
