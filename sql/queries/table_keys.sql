-- What stands of a table's keys. Always one row; an index or check that is not there is null.
-- $1 table, such as public.clinical_embeddings, $2 its unique key, $3 its check, $4 its ordinary index
SELECT
  (SELECT indisvalid AND indisready FROM pg_index WHERE indrelid = t.oid AND indexrelid = to_regclass('public.' || $2::text))
    AS key_index,
  EXISTS (SELECT FROM pg_constraint WHERE conrelid = t.oid AND conname = $2::text AND contype = 'u') AS key,
  (SELECT convalidated FROM pg_constraint WHERE conrelid = t.oid AND conname = $3::text AND contype = 'c') AS checked,
  (SELECT indisvalid AND indisready FROM pg_index WHERE indrelid = t.oid AND indexrelid = to_regclass('public.' || $4::text))
    AS ordinary_index
FROM (SELECT to_regclass($1)::oid AS oid) AS t
