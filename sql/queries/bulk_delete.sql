-- Removes the rows of many resources, of every model, and tells whose there were; those of versions made after an
-- instant stay.
-- $1 project id, $2 resource type; then one element a resource: $3 resource ids, $4 instants, or nulls: none stays
WITH removed AS (
  DELETE FROM public.clinical_embeddings e
  USING unnest($3::uuid[], $4::timestamptz[]) AS given (id, until)
  WHERE e.project_id = $1::uuid AND e.fhir_resource_type = $2 AND e.fhir_resource_id = given.id
    AND (given.until IS NULL OR e.resource_updated_at <= given.until)
  RETURNING e.fhir_resource_id
)
SELECT DISTINCT fhir_resource_id::text FROM removed
