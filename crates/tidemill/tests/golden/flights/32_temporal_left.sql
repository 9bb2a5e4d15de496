SELECT f.origin, f.flight, f.sched_dep, w.temp, w.time_hour FROM flights f LEFT JOIN weather FOR SYSTEM_TIME AS OF f.sched_dep AS w ON f.origin = w.origin AND w.temp > 40 WHERE f.carrier = 'WN';
