-- What the role of a project's bots may do: one line for each table, none where there is no role.
-- $1 name of the role, $2 tables, $3 what its policy must say, as Postgres writes it
SELECT
  r.rolcanlogin AS may_log_in,
  r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication AS has_powers,
  t.name AS table_name,
  ARRAY(
    SELECT a.privilege_type::text FROM pg_class c, aclexplode(c.relacl) a
    WHERE c.oid = to_regclass(t.name) AND a.grantee = r.oid
  ) AS privileges,
  EXISTS (
    SELECT FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
    WHERE c.oid = to_regclass(t.name) AND c.relrowsecurity AND p.polname = r.rolname
      AND p.polroles = ARRAY[r.oid] AND p.polcmd = '*'
      AND pg_get_expr(p.polqual, p.polrelid) = $3 AND pg_get_expr(p.polwithcheck, p.polrelid) = $3
  ) AS held_to_its_rows,
  ARRAY(SELECT m.roleid::regrole::text FROM pg_auth_members m WHERE m.member = r.oid) AS groups
FROM pg_roles r CROSS JOIN unnest($2::text[]) AS t (name)
WHERE r.rolname = $1
