-- Makes public.clinical_embeddings_next: the table in use with vectors of another length, and no rows.
--
-- Settings: medbots.dimension.
--
-- Columns, defaults, keys, checks, ordinary indexes, storage, owner, rights and policies are those of the table in
-- use, the user's own among them. Names begin with the new table's; the switch gives them the name of the old.
-- Vector indexes are built once the rows are there. Triggers are not copied.
DO $make$
DECLARE
  dimension constant int := current_setting('medbots.dimension')::int;
  current constant regclass := 'public.clinical_embeddings';
  kind text;
  options text;
  owner text;
  one record;
BEGIN
  SELECT atttypid::regtype::text INTO kind FROM pg_attribute WHERE attrelid = current AND attname = 'embedding';
  SELECT array_to_string(reloptions, ', '), relowner::regrole::text INTO options, owner
  FROM pg_class WHERE oid = current;

  CREATE TABLE public.clinical_embeddings_next (
    LIKE public.clinical_embeddings INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING IDENTITY INCLUDING STORAGE
      INCLUDING COMMENTS
  );
  EXECUTE format(
    'ALTER TABLE public.clinical_embeddings_next ALTER COLUMN embedding TYPE %s(%s)%s', kind, dimension,
    -- As in the table in use: in line while a page holds it.
    CASE WHEN dimension <= 3000 THEN ', ALTER COLUMN embedding SET STORAGE PLAIN' ELSE '' END
  );
  IF options <> '' THEN
    EXECUTE format('ALTER TABLE public.clinical_embeddings_next SET (%s)', options);
  END IF;

  FOR one IN
    SELECT conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint
    WHERE conrelid = current AND contype IN ('p', 'u', 'c', 'f', 'x')
    ORDER BY contype DESC, conname
  LOOP
    EXECUTE format(
      'ALTER TABLE public.clinical_embeddings_next ADD CONSTRAINT %I %s',
      CASE WHEN starts_with(one.name, 'clinical_embeddings_') THEN 'clinical_embeddings_next' || substr(one.name, 20)
        ELSE one.name || '_next' END,
      one.definition
    );
  END LOOP;

  FOR one IN
    SELECT c.relname AS name, i.indisunique AS is_unique, pg_get_indexdef(i.indexrelid) AS definition
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
    WHERE i.indrelid = current AND i.indisvalid AND a.amname NOT IN ('hnsw', 'ivfflat')
      AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid AND conrelid = current)
    ORDER BY c.relname
  LOOP
    EXECUTE format(
      'CREATE %sINDEX %I ON public.clinical_embeddings_next USING %s',
      CASE WHEN one.is_unique THEN 'UNIQUE ' ELSE '' END,
      CASE WHEN starts_with(one.name, 'clinical_embeddings_') THEN 'clinical_embeddings_next' || substr(one.name, 20)
        ELSE one.name || '_next' END,
      regexp_replace(one.definition, '^.*? USING ', '')
    );
  END LOOP;

  EXECUTE format('ALTER TABLE public.clinical_embeddings_next OWNER TO %s', owner);

  -- What new tables grant by default, the one in use may have lost again.
  FOR one IN
    SELECT DISTINCT a.grantee FROM pg_class c, aclexplode(c.relacl) a
    WHERE c.oid = 'public.clinical_embeddings_next'::regclass AND a.grantee <> c.relowner
  LOOP
    EXECUTE format(
      'REVOKE ALL ON public.clinical_embeddings_next FROM %s',
      CASE WHEN one.grantee = 0 THEN 'PUBLIC' ELSE one.grantee::regrole::text END
    );
  END LOOP;
  FOR one IN
    SELECT a.grantee, a.privilege_type AS privilege, a.is_grantable, '' AS columns
    FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = current AND a.grantee <> c.relowner
    UNION ALL
    SELECT a.grantee, a.privilege_type, a.is_grantable, format(' (%I)', t.attname)
    FROM pg_attribute t, aclexplode(t.attacl) a WHERE t.attrelid = current AND NOT t.attisdropped
  LOOP
    EXECUTE format(
      'GRANT %s%s ON public.clinical_embeddings_next TO %s%s', one.privilege, one.columns,
      CASE WHEN one.grantee = 0 THEN 'PUBLIC' ELSE one.grantee::regrole::text END,
      CASE WHEN one.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
    );
  END LOOP;

  IF (SELECT relrowsecurity FROM pg_class WHERE oid = current) THEN
    ALTER TABLE public.clinical_embeddings_next ENABLE ROW LEVEL SECURITY;
  END IF;
  FOR one IN
    SELECT
      polname AS name, polpermissive AS permissive, pg_get_expr(polqual, polrelid) AS shown,
      pg_get_expr(polwithcheck, polrelid) AS checked,
      CASE polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END
        AS command,
      (
        SELECT string_agg(CASE WHEN r = 0 THEN 'PUBLIC' ELSE r::regrole::text END, ', ') FROM unnest(polroles) AS r
      ) AS roles
    FROM pg_policy WHERE polrelid = current
  LOOP
    EXECUTE format(
      'CREATE POLICY %I ON public.clinical_embeddings_next AS %s FOR %s TO %s%s%s', one.name,
      CASE WHEN one.permissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END, one.command, one.roles,
      ' USING (' || one.shown || ')', ' WITH CHECK (' || one.checked || ')'
    );
  END LOOP;
END
$make$;
