CREATE TABLE l (id INT, k STRING, v INT)
WITH ('connector'='filesystem','path'='${DATA}/l.csv','format'='csv','csv.null-literal'='');

CREATE TABLE r (k STRING, id INT, v INT)
WITH ('connector'='filesystem','path'='${DATA}/r.csv','format'='csv','csv.null-literal'='');
