-- Who holds an advisory lock of this database.
-- $1 key
SELECT
  a.pid, a.usename::text, coalesce(a.application_name, '') AS program, a.client_addr::text,
  extract(epoch FROM now() - a.backend_start)::int AS seconds
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32) | l.objid::bigint = $1::bigint
