-- Which resources have a later version than the one that is given.
-- $1 project id, $2 resource type, $3 model version, $4 resource ids, $5 when each version was made
SELECT given.id::text
FROM unnest($4::uuid[], $5::timestamptz[]) AS given (id, updated_at)
WHERE EXISTS (
  SELECT FROM public.clinical_embeddings e
  WHERE e.project_id = $1::uuid AND e.fhir_resource_type = $2 AND e.fhir_resource_id = given.id
    AND e.model_version = $3 AND e.resource_updated_at > given.updated_at
)
