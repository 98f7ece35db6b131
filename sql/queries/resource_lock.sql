-- Serialises the writers of one resource until the transaction ends, and tells the tables that there are.
-- $1 project id, $2 resource type, $3 resource id
-- generations: tables, the one in use first; dimensions: of their vectors, in the same order
-- vector_type: object id of the type vector
WITH generation AS (
  SELECT g.name, a.atttypmod AS dimension, g.rank
  FROM unnest(ARRAY[
    'public.clinical_embeddings', 'public.clinical_embeddings_next', 'public.clinical_embeddings_previous'
  ]) WITH ORDINALITY AS g (name, rank)
  JOIN pg_attribute a ON a.attrelid = to_regclass(g.name) AND a.attname = 'embedding' AND NOT a.attisdropped
)
SELECT
  pg_advisory_xact_lock(hashtextextended(concat_ws('/', 'clinical_embeddings', $1::text, $2::text, $3::text), 0)),
  ARRAY(SELECT name FROM generation ORDER BY rank) AS generations,
  ARRAY(SELECT dimension FROM generation ORDER BY rank) AS dimensions,
  'vector'::regtype::oid AS vector_type
-- Naming the table keeps it under its name until the transaction ends.
FROM (SELECT count(*) FROM (SELECT FROM public.clinical_embeddings LIMIT 0) AS none) AS named
