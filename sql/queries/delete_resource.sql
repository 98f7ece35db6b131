-- Removes the rows of one resource, of every model; those of a version made after an instant stay.
-- $1 project id, $2 resource type, $3 resource id, $4 that instant, or null: none stays
DELETE FROM public.clinical_embeddings
WHERE project_id = $1::uuid AND fhir_resource_type = $2 AND fhir_resource_id = $3::uuid
  AND ($4::timestamptz IS NULL OR resource_updated_at <= $4::timestamptz)
