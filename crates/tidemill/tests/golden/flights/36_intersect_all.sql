SELECT origin, dest FROM flights WHERE carrier = 'UA' INTERSECT ALL SELECT origin, dest FROM flights WHERE carrier = 'DL';
