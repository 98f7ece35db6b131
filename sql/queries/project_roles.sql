-- The roles that medbots made for this copy of the database, with the members of each but for who made it.
-- $1 what the names of bots' roles begin with, $2 of readers, $3 what all of them end with
SELECT
  r.rolname::text AS name,
  CASE WHEN starts_with(r.rolname::text, $1::text) THEN 'bot' ELSE 'reader' END AS kind,
  substring(r.rolname::text FROM '_([0-9a-f]{32})_[0-9a-f]{8}$')::uuid::text AS project_id,
  ARRAY(
    SELECT m.member::regrole::text FROM pg_auth_members m
    WHERE m.roleid = r.oid AND NOT m.admin_option
    ORDER BY 1
  ) AS members
FROM pg_roles r
WHERE (starts_with(r.rolname::text, $1::text) OR starts_with(r.rolname::text, $2::text))
  AND r.rolname::text LIKE '%\_' || $3::text
  AND r.rolname::text ~ '_[0-9a-f]{32}_[0-9a-f]{8}$'
ORDER BY project_id, kind
