SELECT seller, AVG(final) OVER (PARTITION BY seller ORDER BY event_time ROWS BETWEEN 10 PRECEDING AND CURRENT ROW) AS mean_final, id FROM (
  SELECT a.id, a.seller, b.price AS final, b.event_time,
    ROW_NUMBER() OVER (PARTITION BY a.id ORDER BY b.price DESC, b.event_time ASC) AS place
  FROM auction a JOIN bid b ON a.id = b.auction AND b.event_time BETWEEN a.event_time AND a.expires
) WHERE place <= 1;
