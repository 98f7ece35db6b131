-- Serialises the writers of several resources until the transaction ends, by the locks of `resource_lock`.
-- In the order of the keys, so that two that take many at once never wait for each other.
-- $1 project id, $2 resource type, $3 resource ids
SELECT pg_advisory_xact_lock(key) FROM (
  SELECT DISTINCT hashtextextended(concat_ws('/', 'clinical_embeddings', $1::text, $2::text, id), 0) AS key
  FROM unnest($3::text[]) AS id
  ORDER BY key
) AS ordered
