-- What the current login may do of what making the store takes. Always one row.
-- $1 the role to be made, $2 tables
SELECT
  current_user::text, current_database()::text,
  has_schema_privilege('public', 'CREATE') AS may_create,
  me.rolsuper OR me.rolcreaterole OR EXISTS (SELECT FROM pg_roles WHERE rolname = $1) AS may_make_roles,
  array(
    SELECT format('%I.%I', n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = ANY (array(SELECT to_regclass(t)::oid FROM unnest($2::text[]) t))
      AND NOT pg_has_role(c.relowner, 'USAGE')
    ORDER BY 1
  ) AS owned_by_others
FROM pg_roles me WHERE me.rolname = current_user
