SELECT sched_dep, carrier, flight FROM flights WHERE carrier = 'HA' ORDER BY sched_dep, flight;
