-- The resources of one type that have rows of any model, in order of their ids, from one on.
-- $1 project id, $2 resource type, $3 the id after which to begin, or null, $4 how many
WITH RECURSIVE key (id) AS (
  (
    SELECT fhir_resource_id FROM public.clinical_embeddings
    WHERE project_id = $1::uuid AND fhir_resource_type = $2
      AND fhir_resource_id > coalesce($3::uuid, '00000000-0000-0000-0000-000000000000')
    ORDER BY fhir_resource_id LIMIT 1
  )
  UNION ALL
  -- From key to key through the unique index: a plain DISTINCT would read every chunk.
  SELECT (
    SELECT fhir_resource_id FROM public.clinical_embeddings
    WHERE project_id = $1::uuid AND fhir_resource_type = $2 AND fhir_resource_id > key.id
    ORDER BY fhir_resource_id LIMIT 1
  ) FROM key WHERE key.id IS NOT NULL
)
SELECT id::text FROM key WHERE id IS NOT NULL LIMIT $4::int
