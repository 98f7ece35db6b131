-- Puts another table in the place of public.clinical_embeddings, which becomes public.clinical_embeddings_previous.
--
-- Settings: medbots.generation, the one that comes into use: `next`, or `previous` for the way back.
--
-- Names alone change, of the tables and of what belongs to them. Bots find their table by the length of its vectors,
-- and look again where it has moved: none of them is without one, before or after.
DO $switch$
DECLARE
  comes constant text := current_setting('medbots.generation');
  -- Suffixes of the table's name, before and after, in order. The way back needs a third place.
  moves constant text[] := CASE comes
    WHEN 'next' THEN ARRAY[['', '_previous'], ['_next', '']]
    WHEN 'previous' THEN ARRAY[['', '_next'], ['_previous', ''], ['_next', '_previous']]
  END;
  move text[];
  was text;
  now_is text;
  one record;
  plain text;
  named text;
BEGIN
  EXECUTE format(
    'LOCK TABLE public.clinical_embeddings, public.%I IN ACCESS EXCLUSIVE MODE', 'clinical_embeddings_' || comes
  );
  FOREACH move SLICE 1 IN ARRAY moves LOOP
    was := 'clinical_embeddings' || move[1];
    now_is := 'clinical_embeddings' || move[2];
    FOR one IN
      SELECT c.relname AS name, true AS is_index FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
      WHERE i.indrelid = ('public.' || was)::regclass
      UNION ALL
      SELECT conname, false FROM pg_constraint
      WHERE conrelid = ('public.' || was)::regclass AND contype IN ('c', 'f')
    LOOP
      plain := CASE
        WHEN starts_with(one.name, was || '_') THEN 'clinical_embeddings' || substr(one.name, length(was) + 1)
        WHEN move[1] <> '' AND right(one.name, length(move[1])) = move[1] THEN left(one.name, -length(move[1]))
        ELSE one.name
      END;
      named := CASE
        WHEN starts_with(plain, 'clinical_embeddings_') THEN now_is || substr(plain, 20)
        ELSE plain || move[2]
      END;
      IF length(named) > 63 THEN
        named := left(named, 54) || '_' || left(md5(named), 8);
      END IF;
      IF named = one.name THEN
        CONTINUE;
      ELSIF one.is_index THEN
        EXECUTE format('ALTER INDEX public.%I RENAME TO %I', one.name, named);
      ELSE
        EXECUTE format('ALTER TABLE public.%I RENAME CONSTRAINT %I TO %I', was, one.name, named);
      END IF;
    END LOOP;
    EXECUTE format('ALTER TABLE public.%I RENAME TO %I', was, now_is);
  END LOOP;
END
$switch$;
