-- A later version has come back: forget that the resource was withdrawn.
-- $1 project id, $2 resource type, $3 resource id
DELETE FROM public.clinical_embedding_tombstones
WHERE project_id = $1::uuid AND fhir_resource_type = $2 AND fhir_resource_id = $3::uuid
