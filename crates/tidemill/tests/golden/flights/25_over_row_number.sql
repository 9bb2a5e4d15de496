SELECT dest, sched_dep, flight, ROW_NUMBER() OVER (PARTITION BY dest, flight ORDER BY sched_dep) AS nth FROM flights WHERE carrier = 'US';
