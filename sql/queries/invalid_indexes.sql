-- Every invalid index of some tables, and whether a session builds an index of that table now.
-- $1 tables, such as public.clinical_embeddings; those that are not there count for nothing
SELECT
  format('%I.%I', n.nspname, t.relname) AS table_name, c.relname::text AS name, a.amname::text AS kind,
  pg_relation_size(c.oid) AS bytes,
  EXISTS (
    SELECT FROM pg_stat_progress_create_index p JOIN pg_locks l USING (pid)
    WHERE l.locktype = 'relation' AND l.granted AND l.relation = t.oid
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  ) AS building
FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_am a ON a.oid = c.relam
  JOIN pg_class t ON t.oid = i.indrelid
  JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE NOT (i.indisvalid AND i.indisready)
  AND i.indrelid = ANY (ARRAY(SELECT to_regclass(name)::oid FROM unnest($1::text[]) AS wanted (name)))
ORDER BY 1, 2
