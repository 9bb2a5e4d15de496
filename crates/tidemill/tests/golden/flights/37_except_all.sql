SELECT dest FROM flights WHERE carrier = 'UA' EXCEPT ALL SELECT dest FROM flights WHERE carrier IN ('AA', 'DL');
