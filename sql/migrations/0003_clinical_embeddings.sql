-- One row a chunk of a clinical record, with its vector.
--
-- Settings: medbots.dimension.
DO $create$
DECLARE
  dimension constant int := current_setting('medbots.dimension')::int;
BEGIN
  IF to_regclass('public.clinical_embeddings') IS NULL THEN
    EXECUTE format($table$
      CREATE TABLE public.clinical_embeddings (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        project_id uuid NOT NULL,
        fhir_resource_type varchar(100) NOT NULL,
        fhir_resource_id uuid NOT NULL,
        version_id text NOT NULL,
        patient_id uuid,
        content_type varchar(50) NOT NULL,
        content_section text,
        chunk_index int NOT NULL,
        chunk_count int NOT NULL,
        content_text text NOT NULL,
        content_hash text NOT NULL,
        embedding halfvec(%s) NOT NULL,
        model_version varchar(100) NOT NULL,
        resource_updated_at timestamptz NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
      )$table$, dimension);
  END IF;

  -- A vector in line with its row makes exact scans over four times faster than one in TOAST. A page
  -- holds a row of 8160 bytes: longer vectors stay out of line.
  IF dimension <= 3000 THEN
    ALTER TABLE public.clinical_embeddings ALTER COLUMN embedding SET STORAGE PLAIN;
  END IF;

  IF NOT EXISTS (
    SELECT FROM pg_constraint
    WHERE conrelid = 'public.clinical_embeddings'::regclass AND conname = 'clinical_embeddings_chunk_key'
  ) THEN
    ALTER TABLE public.clinical_embeddings
      ADD CONSTRAINT clinical_embeddings_chunk_key
        UNIQUE (project_id, fhir_resource_type, fhir_resource_id, model_version, chunk_index),
      -- A zero vector would be accepted and never found.
      ADD CONSTRAINT clinical_embeddings_embedding_check CHECK (l2_norm(embedding) > 0);
  END IF;
  IF to_regclass('public.clinical_embeddings_patient_idx') IS NULL THEN
    CREATE INDEX clinical_embeddings_patient_idx ON public.clinical_embeddings (project_id, patient_id);
  END IF;
END
$create$;

ALTER TABLE public.clinical_embeddings SET (toast_tuple_target = 8160);
