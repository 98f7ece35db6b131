-- Marks of many resources that no version made up to a time may be embedded again.
-- $1 project id, $2 resource type; then one element a resource:
-- $3 resource ids, $4 last version ids or nulls, $5 those times
INSERT INTO public.clinical_embedding_tombstones (
  project_id, fhir_resource_type, fhir_resource_id, version_id, deleted_at
)
SELECT $1::uuid, $2, given.* FROM unnest($3::uuid[], $4::text[], $5::timestamptz[]) AS given
ON CONFLICT (project_id, fhir_resource_type, fhir_resource_id) DO UPDATE SET
  version_id = coalesce(excluded.version_id, clinical_embedding_tombstones.version_id),
  deleted_at = excluded.deleted_at
WHERE clinical_embedding_tombstones.deleted_at < excluded.deleted_at
