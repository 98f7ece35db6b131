-- A new version with the same text: the rows now stand for it, their vectors stay.
-- $1 project id, $2 resource type, $3 resource id, $4 model version, $5 version id, $6 when it was made,
-- $7 patient id or null
UPDATE public.clinical_embeddings
SET version_id = $5, resource_updated_at = $6::timestamptz, patient_id = $7::uuid
WHERE project_id = $1::uuid AND fhir_resource_type = $2 AND fhir_resource_id = $3::uuid
  AND model_version = $4
  AND (version_id, resource_updated_at, patient_id) IS DISTINCT FROM ($5, $6::timestamptz, $7::uuid)
