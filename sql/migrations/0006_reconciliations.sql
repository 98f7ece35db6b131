-- How far an interrupted `embeddings reconcile` is. For the owner alone: no role is granted anything here.
CREATE TABLE IF NOT EXISTS public.medbots_reconciliations (
  project_id uuid NOT NULL,
  fhir_resource_type varchar(100) NOT NULL,
  model_version varchar(100) NOT NULL,
  arguments text NOT NULL,
  mark jsonb NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project_id, fhir_resource_type, model_version)
);
ALTER TABLE public.medbots_reconciliations ENABLE ROW LEVEL SECURITY;
