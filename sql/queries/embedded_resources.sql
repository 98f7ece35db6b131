-- Which resources have vectors.
-- $1 project id, $2 model version
SELECT DISTINCT fhir_resource_type || '/' || fhir_resource_id
FROM public.clinical_embeddings
WHERE project_id = $1::uuid AND model_version = $2
