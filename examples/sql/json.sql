-- JSON in text: values and parts are taken out of it by path.
--   tidemill run examples/sql/json.sql

CREATE VIEW events AS
SELECT * FROM (VALUES
  (1, '{"user": {"name": "Ada", "tags": ["admin", "dev"]}, "amount": 12.5}'),
  (2, '{"user": {"name": "Bob"}, "amount": "unknown"}'),
  (3, 'no JSON at all')
) AS t (id, body);

SELECT id,
  JSON_VALUE(body, '$.user.name') AS name,
  TRY_CAST(JSON_VALUE(body, '$.amount') AS DOUBLE) AS amount,
  JSON_QUERY(body, '$.user.tags') AS tags,
  JSON_EXISTS(body, '$.user.tags') AS has_tags,
  body IS JSON AS is_json
FROM events
ORDER BY id;
