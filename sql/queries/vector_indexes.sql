-- Every vector index of a table, with the session that builds it now, if one does.
-- $1 table, such as public.clinical_embeddings
SELECT
  c.relname::text, a.amname::text, i.indisvalid AND i.indisready AS valid,
  coalesce(pg_get_expr(i.indpred, i.indrelid), '') AS predicate,
  pg_relation_size(c.oid) AS bytes,
  (SELECT p.pid FROM pg_stat_progress_create_index p WHERE p.index_relid = c.oid LIMIT 1) AS builder
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
WHERE i.indrelid = to_regclass($1) AND a.amname IN ('hnsw', 'ivfflat')
ORDER BY c.relname
