-- What the store knows of one resource, judged against a version the caller has read. Always one row.
-- $1 project id, $2 resource type, $3 resource id, $4 model version, $5 when the caller's version was made
-- content_hash: hash of the stored chunk set; null without rows, or when the set is not complete
-- newer_stored: a later version is stored; withdrawn: no version older than some later time may come back
SELECT
  CASE WHEN count(e.id) = max(e.chunk_count) AND min(e.content_hash) = max(e.content_hash)
    THEN min(e.content_hash) END AS content_hash,
  coalesce(max(e.resource_updated_at) > $5::timestamptz, false) AS newer_stored,
  EXISTS (
    SELECT FROM public.clinical_embedding_tombstones t
    WHERE t.project_id = $1::uuid AND t.fhir_resource_type = $2 AND t.fhir_resource_id = $3::uuid
      AND t.deleted_at > $5::timestamptz
  ) AS withdrawn
FROM public.clinical_embeddings e
WHERE e.project_id = $1::uuid AND e.fhir_resource_type = $2 AND e.fhir_resource_id = $3::uuid
  AND e.model_version = $4
