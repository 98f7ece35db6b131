-- How the store stands to versions that the server holds: one line each.
-- $1 project id, $2 resource type, $3 model version; then one element a version, in order:
-- $4 resource ids, $5 version ids, $6 when each was made
-- standing: see `inventory.Standing`
SELECT
  given.id::text,
  CASE
    WHEN found.whole AND found.version_id = given.version_id THEN 'embedded'
    WHEN found.updated_at > given.updated_at THEN 'ahead'
    -- A version that is withheld is marked with its own time; one that was found gone, with a later one.
    WHEN t.deleted_at > given.updated_at THEN 'blocked'
    WHEN t.version_id = given.version_id AND found.updated_at IS NULL THEN 'withheld'
    WHEN found.updated_at IS NULL THEN 'missing'
    ELSE 'stale'
  END AS standing
FROM unnest($4::uuid[], $5::text[], $6::timestamptz[]) AS given (id, version_id, updated_at)
CROSS JOIN LATERAL (
  SELECT
    max(e.resource_updated_at) AS updated_at,
    min(e.version_id) AS version_id,
    count(*) = max(e.chunk_count) AND min(e.content_hash) = max(e.content_hash)
      AND min(e.version_id) = max(e.version_id) AS whole
  FROM public.clinical_embeddings e
  WHERE e.project_id = $1::uuid AND e.fhir_resource_type = $2 AND e.fhir_resource_id = given.id
    AND e.model_version = $3
) AS found
LEFT JOIN public.clinical_embedding_tombstones t
  ON t.project_id = $1::uuid AND t.fhir_resource_type = $2 AND t.fhir_resource_id = given.id
