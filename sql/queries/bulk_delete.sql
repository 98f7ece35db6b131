-- Removes every row of many resources, of every model, and tells whose there were.
-- $1 project id, $2 resource type, $3 resource ids
WITH removed AS (
  DELETE FROM public.clinical_embeddings
  WHERE project_id = $1::uuid AND fhir_resource_type = $2 AND fhir_resource_id = ANY ($3::uuid[])
  RETURNING fhir_resource_id
)
SELECT DISTINCT fhir_resource_id::text FROM removed
