-- What the rows of one resource are, without their text.
-- $1 project id, $2 resource type, $3 resource id
SELECT vector_dims(embedding), model_version
FROM public.clinical_embeddings
WHERE project_id = $1::uuid AND fhir_resource_type = $2 AND fhir_resource_id = $3::uuid
ORDER BY model_version, chunk_index
