-- Lets rows whose text is the same stand for the version that another model's rows stand for.
-- The caller holds the resources' locks. public.source_embeddings stands for the table that was read.
-- $1 project id, $2 resource type, $3 model version that was read, $4 model version that is being filled,
-- $5 resource ids
UPDATE public.clinical_embeddings t
SET version_id = s.version_id, resource_updated_at = s.resource_updated_at, patient_id = s.patient_id,
  created_at = greatest(s.created_at, t.created_at)
FROM public.source_embeddings s
WHERE s.project_id = $1::uuid AND s.fhir_resource_type = $2 AND s.fhir_resource_id = ANY ($5::uuid[])
  AND s.model_version = $3
  AND t.project_id = s.project_id AND t.fhir_resource_type = s.fhir_resource_type
  AND t.fhir_resource_id = s.fhir_resource_id AND t.model_version = $4 AND t.chunk_index = s.chunk_index
