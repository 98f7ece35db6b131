-- Marks that no version of a resource made up to a time may be embedded again.
-- $1 project id, $2 resource type, $3 resource id, $4 last version id or null, $5 that time
INSERT INTO public.clinical_embedding_tombstones (
  project_id, fhir_resource_type, fhir_resource_id, version_id, deleted_at
)
VALUES ($1::uuid, $2, $3::uuid, $4, $5::timestamptz)
ON CONFLICT (project_id, fhir_resource_type, fhir_resource_id) DO UPDATE SET
  version_id = coalesce(excluded.version_id, clinical_embedding_tombstones.version_id),
  deleted_at = excluded.deleted_at
WHERE clinical_embedding_tombstones.deleted_at < excluded.deleted_at
