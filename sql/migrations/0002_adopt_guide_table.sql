-- Takes over a table made by the deployment guide, with its rows, and brings its columns to the shape
-- that the next migration makes on an empty database. Columns of the user's own, grants and triggers
-- stay. Where there is no such table, nothing happens.
--
-- Settings: medbots.dimension, medbots.project_id, medbots.model_version (the one in use),
-- medbots.model_alias (rows marked with the bare alias were made by that model; empty: none were).
--
-- Rows that the new shape cannot hold move to clinical_embeddings_set_aside with the reason. What the
-- guide did not record is marked as unknown, in such a way that the next event of a resource replaces
-- its rows: no content hash is equal to 'unknown', and no version is older than 1970.
DO $adopt$
DECLARE
  dimension constant int := current_setting('medbots.dimension')::int;
  project constant uuid := current_setting('medbots.project_id')::uuid;
  active constant text := current_setting('medbots.model_version');
  alias constant text := current_setting('medbots.model_alias');
  half_max constant real := 65504;
  found_before bigint;
  kept bigint;
  moved bigint;
  renumbered bigint;
  other_model bigint;
  victim record;
BEGIN
  IF to_regclass('public.clinical_embeddings') IS NULL OR EXISTS (
    SELECT FROM pg_attribute
    WHERE attrelid = to_regclass('public.clinical_embeddings') AND attname = 'project_id' AND NOT attisdropped
  ) THEN
    RETURN;
  END IF;
  LOCK TABLE public.clinical_embeddings IN ACCESS EXCLUSIVE MODE;
  SELECT count(*) INTO found_before FROM public.clinical_embeddings;

  -- Its vector indexes (every run of the guide added one more) and those that the new ones replace.
  FOR victim IN
    SELECT c.oid::regclass AS name
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
    WHERE i.indrelid = 'public.clinical_embeddings'::regclass
      AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid)
      AND (a.amname IN ('ivfflat', 'hnsw') OR c.relname IN ('idx_embeddings_resource', 'idx_embeddings_patient'))
  LOOP
    EXECUTE format('DROP INDEX %s', victim.name);
    RAISE NOTICE 'dropped index % of the earlier table', victim.name;
  END LOOP;

  -- Its key forgot the resource type and the model: UNIQUE (fhir_resource_id, chunk_index).
  FOR victim IN
    SELECT conname AS name
    FROM pg_constraint
    WHERE conrelid = 'public.clinical_embeddings'::regclass AND contype = 'u'
      AND (
        SELECT array_agg(attname::text ORDER BY attname)
        FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY (conkey)
      ) = ARRAY['chunk_index', 'fhir_resource_id']
  LOOP
    EXECUTE format('ALTER TABLE public.clinical_embeddings DROP CONSTRAINT %I', victim.name);
  END LOOP;

  CREATE TABLE IF NOT EXISTS public.clinical_embeddings_set_aside (
    id uuid,
    reason text NOT NULL,
    content jsonb NOT NULL,
    set_aside_at timestamptz NOT NULL DEFAULT now()
  );
  WITH judged AS (
    SELECT e.id, CASE
      WHEN e.embedding IS NULL THEN 'it has no vector'
      WHEN vector_dims(e.embedding::vector) <> dimension
        THEN format('its vector has %s dimensions', vector_dims(e.embedding::vector))
      WHEN (SELECT max(abs(x)) FROM unnest(e.embedding::vector::real[]) AS x) > half_max
        THEN 'its vector has values beyond 65504'
      WHEN l2_norm(e.embedding::vector::halfvec) = 0 THEN 'its vector is zero, which no search finds'
    END AS reason
    FROM public.clinical_embeddings e
  ), removed AS (
    DELETE FROM public.clinical_embeddings e USING judged
    WHERE judged.id = e.id AND judged.reason IS NOT NULL
    RETURNING e.id, judged.reason, to_jsonb(e) AS content
  )
  INSERT INTO public.clinical_embeddings_set_aside (id, reason, content)
  SELECT id, reason, content FROM removed;
  GET DIAGNOSTICS moved = ROW_COUNT;
  IF moved = 0 AND NOT EXISTS (SELECT FROM public.clinical_embeddings_set_aside) THEN
    DROP TABLE public.clinical_embeddings_set_aside;
  END IF;

  ALTER TABLE public.clinical_embeddings
    ADD COLUMN project_id uuid,
    ADD COLUMN IF NOT EXISTS version_id text,
    ADD COLUMN IF NOT EXISTS content_section text,
    ADD COLUMN IF NOT EXISTS chunk_count int,
    ADD COLUMN IF NOT EXISTS content_hash text,
    ADD COLUMN IF NOT EXISTS resource_updated_at timestamptz;

  -- Chunks are counted from 0 without gaps within a resource and a model: indexes that are missing,
  -- doubled or shared between two types that have the same id are given anew, in the old order.
  WITH labelled AS (
    SELECT id, fhir_resource_type, fhir_resource_id, chunk_index, created_at, CASE
      WHEN btrim(coalesce(model_version, '')) = '' THEN 'unknown'
      WHEN model_version = alias THEN active
      ELSE model_version
    END AS model
    FROM public.clinical_embeddings
  ), numbered AS (
    SELECT id, model, chunk_index AS was,
      row_number() OVER (chunks ORDER BY chunk_index NULLS LAST, created_at NULLS FIRST, id) - 1 AS number,
      count(*) OVER chunks AS chunks
    FROM labelled
    WINDOW chunks AS (PARTITION BY fhir_resource_type, fhir_resource_id, model)
  ), changed AS (
    UPDATE public.clinical_embeddings e SET
      project_id = project,
      version_id = 'unknown',
      model_version = numbered.model,
      chunk_index = numbered.number,
      chunk_count = numbered.chunks,
      content_type = coalesce(e.content_type, 'unknown'),
      content_text = coalesce(e.content_text, ''),
      content_hash = 'unknown',
      created_at = coalesce(e.created_at, now()),
      resource_updated_at = to_timestamp(0)
    FROM numbered WHERE numbered.id = e.id
    RETURNING numbered.was IS DISTINCT FROM e.chunk_index AS renumbered, e.model_version
  )
  SELECT count(*), count(*) FILTER (WHERE changed.renumbered), count(*) FILTER (WHERE model_version <> active)
  INTO kept, renumbered, other_model
  FROM changed;
  IF kept + moved <> found_before THEN
    RAISE EXCEPTION 'of % rows % were adopted and % set aside', found_before, kept, moved;
  END IF;

  ALTER TABLE public.clinical_embeddings SET (toast_tuple_target = 8160);
  -- One command, so that the rewrite already stores the vectors in line.
  EXECUTE format(
    'ALTER TABLE public.clinical_embeddings ALTER COLUMN embedding TYPE halfvec(%s) USING embedding::halfvec(%s)%s',
    dimension, dimension,
    CASE WHEN dimension <= 3000 THEN ', ALTER COLUMN embedding SET STORAGE PLAIN' ELSE '' END
  );
  ALTER TABLE public.clinical_embeddings
    ALTER COLUMN project_id SET NOT NULL,
    ALTER COLUMN version_id SET NOT NULL,
    ALTER COLUMN content_type SET NOT NULL,
    ALTER COLUMN chunk_index SET NOT NULL,
    ALTER COLUMN chunk_index DROP DEFAULT,
    ALTER COLUMN chunk_count SET NOT NULL,
    ALTER COLUMN content_text SET NOT NULL,
    ALTER COLUMN content_hash SET NOT NULL,
    ALTER COLUMN embedding SET NOT NULL,
    ALTER COLUMN model_version SET NOT NULL,
    ALTER COLUMN resource_updated_at SET NOT NULL,
    ALTER COLUMN created_at SET NOT NULL;

  RAISE NOTICE 'adopted % rows of the earlier table for project %', kept, project;
  IF renumbered > 0 THEN
    RAISE NOTICE 'gave % rows a new chunk_index, since theirs was missing, doubled or left a gap', renumbered;
  END IF;
  IF moved > 0 THEN
    RAISE NOTICE 'moved % rows to clinical_embeddings_set_aside, with the reason', moved;
  END IF;
  IF other_model > 0 THEN
    RAISE NOTICE '% rows were made by an unknown or another model: searches leave them out until their resources are embedded again', other_model;
  END IF;
END
$adopt$;
