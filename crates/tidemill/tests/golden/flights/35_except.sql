SELECT origin, dest FROM flights WHERE carrier = 'UA' EXCEPT SELECT origin, dest FROM flights WHERE carrier = 'AA';
