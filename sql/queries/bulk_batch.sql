-- Where the chunks of many resources arrive before they are written, for one transaction.
CREATE TEMPORARY TABLE medbots_batch (
  fhir_resource_id uuid NOT NULL,
  version_id text NOT NULL,
  patient_id uuid,
  content_type text NOT NULL,
  content_section text,
  chunk_index int NOT NULL,
  chunk_count int NOT NULL,
  content_text text NOT NULL,
  content_hash text NOT NULL,
  embedding halfvec NOT NULL,
  resource_updated_at timestamptz NOT NULL
) ON COMMIT DROP
