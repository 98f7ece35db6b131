-- Those of some resources whose rows are still the ones that were read, and later than what is there already.
-- The caller holds the resources' locks. public.source_embeddings stands for the table that was read.
-- $1 project id, $2 resource type, $3 model version that was read, $4 model version that is being filled,
-- $5 resource ids, $6 and $7 the greatest times that were read of each
SELECT given.id::text
FROM unnest($5::uuid[], $6::timestamptz[], $7::timestamptz[]) AS given (id, updated_at, created_at)
WHERE (
  SELECT (max(s.resource_updated_at), max(s.created_at)) = (given.updated_at, given.created_at)
  FROM public.source_embeddings s
  WHERE s.project_id = $1::uuid AND s.fhir_resource_type = $2 AND s.fhir_resource_id = given.id
    AND s.model_version = $3
) AND NOT coalesce((
  SELECT (max(t.resource_updated_at), max(t.created_at)) >= (given.updated_at, given.created_at)
  FROM public.clinical_embeddings t
  WHERE t.project_id = $1::uuid AND t.fhir_resource_type = $2 AND t.fhir_resource_id = given.id
    AND t.model_version = $4
), false)
