-- Some stored vectors with whose they are, the same ones for the same seed, without their text.
-- $1 project id, $2 model version, $3 resource type or null, $4 seed, $5 how many
WITH chosen AS MATERIALIZED (
  SELECT id
  FROM public.clinical_embeddings
  WHERE project_id = $1::uuid AND model_version = $2 AND ($3::text IS NULL OR fhir_resource_type = $3::text)
  ORDER BY hashtextextended(id::text, $4::bigint), id
  LIMIT $5::int
)
SELECT e.fhir_resource_type, e.fhir_resource_id::text, e.embedding::vector::real[]
FROM chosen JOIN public.clinical_embeddings e USING (id)
