SELECT carrier, flight, dep_delay, sched_dep,
  COUNT(*) OVER w AS flights, SUM(arr_delay) OVER w AS delays, MAX(air_time) OVER w AS longest
FROM flights WHERE dep_delay > 120 AND carrier IN ('UA', 'B6', 'AA')
WINDOW w AS (PARTITION BY carrier ORDER BY dep_delay);
