-- The texts of resources that another model has embedded, and the content hash that this one has of them.
-- public.source_embeddings stands for the table with the other model's rows.
-- $1 project id, $2 resource type, $3 the other model version, $4 resource ids, $5 model version that is being filled
SELECT
  s.id::text, s.fhir_resource_id::text, s.content_type, s.content_section, s.content_text, s.content_hash,
  (
    SELECT min(t.content_hash) FROM public.clinical_embeddings t
    WHERE t.project_id = $1::uuid AND t.fhir_resource_type = $2 AND t.fhir_resource_id = s.fhir_resource_id
      AND t.model_version = $5
    HAVING count(*) = max(t.chunk_count) AND min(t.content_hash) = max(t.content_hash)
  ) AS stored_hash
FROM public.source_embeddings s
WHERE s.project_id = $1::uuid AND s.fhir_resource_type = $2 AND s.model_version = $3
  AND s.fhir_resource_id = ANY ($4::uuid[])
ORDER BY s.fhir_resource_id, s.chunk_index
