CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE clinical_embeddings (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  project_id uuid NOT NULL,
  fhir_resource_type varchar(100) NOT NULL,
  fhir_resource_id uuid NOT NULL,
  version_id uuid NOT NULL,
  patient_id uuid,
  content_type varchar(50) NOT NULL,
  content_section text,
  chunk_index int NOT NULL,
  chunk_count int NOT NULL,
  content_text text NOT NULL,
  content_hash text NOT NULL,
  embedding halfvec(768) NOT NULL CHECK (l2_norm(embedding) > 0),
  model_version varchar(100) NOT NULL,
  resource_updated_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (project_id, fhir_resource_type, fhir_resource_id, model_version, chunk_index)
);
ALTER TABLE clinical_embeddings ALTER COLUMN embedding SET STORAGE PLAIN, SET (toast_tuple_target = 8160);
CREATE INDEX clinical_embeddings_patient_idx ON clinical_embeddings (project_id, patient_id);
CREATE INDEX clinical_embeddings_embedding_idx ON clinical_embeddings
  USING hnsw (embedding halfvec_cosine_ops) WITH (m = 16, ef_construction = 64)
  WHERE model_version = 'embedding-model/768/none';
CREATE TABLE clinical_embedding_tombstones (
  project_id uuid, fhir_resource_type varchar(100), fhir_resource_id uuid, version_id uuid,
  deleted_at timestamptz NOT NULL,
  PRIMARY KEY (project_id, fhir_resource_type, fhir_resource_id)
);
