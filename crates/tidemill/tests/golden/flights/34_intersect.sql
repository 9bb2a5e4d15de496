SELECT origin, dest FROM flights WHERE carrier = 'UA' INTERSECT SELECT origin, dest FROM flights WHERE carrier = 'AA';
