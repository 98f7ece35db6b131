-- Serialises the writers of one resource until the transaction ends.
-- $1 project id, $2 resource type, $3 resource id
SELECT pg_advisory_xact_lock(hashtextextended(concat_ws('/', 'clinical_embeddings', $1::text, $2::text, $3::text), 0))
