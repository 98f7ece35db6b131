-- The session whose snapshot is the oldest of this database: what was deleted since, no vacuum may remove.
-- No line where this session alone has one.
SELECT
  a.pid, a.usename::text AS name, coalesce(a.application_name, '') AS program,
  extract(epoch FROM now() - coalesce(a.xact_start, a.query_start))::int AS seconds
FROM pg_stat_activity a
WHERE a.backend_xmin IS NOT NULL AND a.datname = current_database() AND a.pid <> pg_backend_pid()
ORDER BY age(a.backend_xmin) DESC
LIMIT 1
