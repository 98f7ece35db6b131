-- The marks of a project's interrupted reconciliation.
-- $1 project id, $2 model version, $3 arguments
SELECT fhir_resource_type, mark, updated_at FROM public.medbots_reconciliations
WHERE project_id = $1::uuid AND model_version = $2 AND arguments = $3
