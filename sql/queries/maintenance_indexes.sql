-- Every valid HNSW index of a table, and how many rows it had when it was last built or analysed.
-- $1 table, such as public.clinical_embeddings
-- neighbours: the greatest number a node has of them in each upper layer, m
-- note: what medbots wrote down when it last built the index
SELECT
  c.relname::text AS name,
  c.reltuples::bigint AS rows,
  pg_relation_size(c.oid) AS bytes,
  coalesce(
    (SELECT split_part(o, '=', 2)::int FROM unnest(c.reloptions) AS o WHERE starts_with(o, 'm=')), 16
  ) AS neighbours,
  obj_description(c.oid, 'pg_class') AS note
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
WHERE i.indrelid = to_regclass($1) AND a.amname = 'hnsw' AND i.indisvalid AND i.indisready
ORDER BY c.relname
