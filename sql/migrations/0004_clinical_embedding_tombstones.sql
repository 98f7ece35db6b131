-- Resources that were withdrawn, and when: an event that comes late revives nothing older than that.
DO $create$
BEGIN
  IF to_regclass('public.clinical_embedding_tombstones') IS NULL THEN
    CREATE TABLE public.clinical_embedding_tombstones (
      project_id uuid NOT NULL,
      fhir_resource_type varchar(100) NOT NULL,
      fhir_resource_id uuid NOT NULL,
      version_id text,
      deleted_at timestamptz NOT NULL,
      PRIMARY KEY (project_id, fhir_resource_type, fhir_resource_id)
    );
  END IF;
END
$create$;
