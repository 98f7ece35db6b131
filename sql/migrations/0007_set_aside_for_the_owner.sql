-- The text of records that an adoption set aside is for the owner alone, whatever a database grants on new tables.
DO $close$
BEGIN
  IF to_regclass('public.clinical_embeddings_set_aside') IS NOT NULL THEN
    ALTER TABLE public.clinical_embeddings_set_aside ENABLE ROW LEVEL SECURITY;
  END IF;
END
$close$;
