-- Forgets of resources whatever says that something later than their current version is known. The
-- caller holds their locks, and has read those versions from the server since.
-- $1 project id, $2 resource type, $3 resource ids, $4 when each current version was made
WITH given AS MATERIALIZED (
  SELECT * FROM unnest($3::uuid[], $4::timestamptz[]) AS given (id, updated_at)
), cleared AS (
  DELETE FROM public.clinical_embedding_tombstones t USING given
  WHERE t.project_id = $1::uuid AND t.fhir_resource_type = $2 AND t.fhir_resource_id = given.id
    AND t.deleted_at > given.updated_at
)
UPDATE public.clinical_embeddings e
SET version_id = 'unknown', resource_updated_at = to_timestamp(0)
FROM given
WHERE e.project_id = $1::uuid AND e.fhir_resource_type = $2 AND e.fhir_resource_id = given.id
  AND e.resource_updated_at > given.updated_at
