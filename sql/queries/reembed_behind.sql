-- The resources that another model has embedded, and this one has not, or from an earlier version or text.
-- public.source_embeddings stands for the table with the other model's rows.
-- $1 project id, $2 model version that is being filled
-- Rows that are made from others take over their times: (resource_updated_at, created_at) orders all that was ever
-- written of a resource, whatever the model.
WITH source AS (
  SELECT fhir_resource_type, fhir_resource_id, model_version,
    max(resource_updated_at) AS updated_at, max(created_at) AS created_at, count(*)::int AS chunks
  FROM public.source_embeddings
  WHERE project_id = $1::uuid AND model_version <> $2
  GROUP BY fhir_resource_type, fhir_resource_id, model_version
), target AS (
  SELECT fhir_resource_type, fhir_resource_id, max(resource_updated_at) AS updated_at, max(created_at) AS created_at
  FROM public.clinical_embeddings
  WHERE project_id = $1::uuid AND model_version = $2
  GROUP BY fhir_resource_type, fhir_resource_id
)
SELECT fhir_resource_type, fhir_resource_id::text, model_version, source.updated_at, source.created_at, chunks
FROM source LEFT JOIN target USING (fhir_resource_type, fhir_resource_id)
WHERE target.updated_at IS NULL OR (source.updated_at, source.created_at) > (target.updated_at, target.created_at)
