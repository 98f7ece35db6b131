-- Removes the rows of resources that were withdrawn after the version that the rows stand for: by a bot that did not
-- know the table.
-- $1 project id, $2 model version
DELETE FROM public.clinical_embeddings e
USING public.clinical_embedding_tombstones t
WHERE e.project_id = $1::uuid AND e.model_version = $2
  AND t.project_id = e.project_id AND t.fhir_resource_type = e.fhir_resource_type
  AND t.fhir_resource_id = e.fhir_resource_id AND t.deleted_at > e.resource_updated_at
