-- Forgets a project's reconciliation.
-- $1 project id, $2 model version
DELETE FROM public.medbots_reconciliations WHERE project_id = $1::uuid AND model_version = $2
