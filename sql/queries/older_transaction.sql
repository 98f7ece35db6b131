-- The session whose transaction is the oldest that a concurrent index build may have to wait for: it has a snapshot, or
-- has written something. No line where none is a second old.
SELECT
  a.pid, a.usename::text AS name, coalesce(a.application_name, '') AS program,
  extract(epoch FROM clock_timestamp() - a.xact_start)::int AS seconds
FROM pg_stat_activity a
WHERE (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL)
  AND a.datname = current_database() AND a.pid <> pg_backend_pid()
  AND a.backend_type = 'client backend'
  AND a.xact_start < clock_timestamp() - interval '1 second'
ORDER BY a.xact_start
LIMIT 1
