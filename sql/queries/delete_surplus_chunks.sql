-- Removes the chunks that a shorter version of a resource no longer has.
-- $1 project id, $2 resource type, $3 resource id, $4 model version, $5 number of chunks it now has
DELETE FROM public.clinical_embeddings
WHERE project_id = $1::uuid AND fhir_resource_type = $2 AND fhir_resource_id = $3::uuid
  AND model_version = $4 AND chunk_index >= $5::int
