-- Other sessions that build an index of some tables now. Whoever builds is in the progress view, for everybody;
-- which index, only for members of the builder's role. The lock on the table tells whose index it is.
-- $1 tables, such as public.clinical_embeddings; those that are not there count for nothing
SELECT
  p.pid, coalesce(a.usename::text, '') AS usename, coalesce(a.application_name, '') AS program,
  coalesce((SELECT c.relname::text FROM pg_class c WHERE c.oid = p.index_relid), '') AS index,
  coalesce(p.phase, '') AS phase
FROM pg_stat_progress_create_index p LEFT JOIN pg_stat_activity a USING (pid)
WHERE p.pid <> pg_backend_pid() AND EXISTS (
  SELECT FROM pg_locks l
  WHERE l.pid = p.pid AND l.locktype = 'relation' AND l.granted
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.relation = ANY (ARRAY(SELECT to_regclass(t)::oid FROM unnest($1::text[]) t))
)
ORDER BY p.pid
