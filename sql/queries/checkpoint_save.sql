-- Keeps one mark of a project's reconciliation.
-- $1 project id, $2 model version, $3 arguments, $4 resource type, $5 mark
INSERT INTO public.medbots_reconciliations (project_id, model_version, arguments, fhir_resource_type, mark)
VALUES ($1::uuid, $2, $3, $4, $5::jsonb)
ON CONFLICT (project_id, fhir_resource_type, model_version) DO UPDATE SET
  arguments = excluded.arguments, mark = excluded.mark, updated_at = now()
