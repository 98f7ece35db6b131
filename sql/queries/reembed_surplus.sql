-- Removes the chunks that resources no longer have. The caller holds the resources' locks.
-- $1 project id, $2 resource type, $3 model version, $4 resource ids, $5 how many chunks each has now
DELETE FROM public.clinical_embeddings t
USING unnest($4::uuid[], $5::int[]) AS given (id, chunks)
WHERE t.project_id = $1::uuid AND t.fhir_resource_type = $2 AND t.fhir_resource_id = given.id
  AND t.model_version = $3 AND t.chunk_index >= given.chunks
