-- The nearest resources of one patient: an exact scan of that patient's rows, best chunk of each resource.
-- `+ 0` keeps the planner off the vector index, which loses rows under a patient filter.
-- $1 query vector (binary form of type vector), $2 project id, $3 model version, $4 resource types or null,
-- $5 content type or null, $6 first and $7 last clinical date (YYYY-MM-DD) or null, $8 greatest cosine distance,
-- $9 number of resources, $10 patient id
WITH scored AS (
  -- Nothing but the distance and whose it is: sorting whole rows takes longer than comparing them.
  SELECT id, fhir_resource_type, fhir_resource_id, (embedding <=> $1::vector::halfvec) + 0 AS distance
  FROM public.clinical_embeddings
    -- When: each chunk begins with a header such as [Condition | 2024-03-01 | Onset]. No regular expression:
    -- one takes longer than the distance.
    CROSS JOIN LATERAL (SELECT split_part(left(content_text, 64), ' | ', 2)) AS header (day)
  WHERE project_id = $2::uuid AND model_version = $3 AND patient_id = $10::uuid
    AND ($4::text[] IS NULL OR fhir_resource_type = ANY ($4::text[]))
    AND ($5::text IS NULL OR content_type = $5::text)
    AND ($6::text IS NULL AND $7::text IS NULL
      OR translate(day, '123456789', '000000000') IN ('0000', '0000-00', '0000-00-00')
        AND ($6::text IS NULL OR day >= left($6::text, length(day)))
        AND ($7::text IS NULL OR day <= left($7::text, length(day))))
), best AS (
  SELECT DISTINCT ON (fhir_resource_type, fhir_resource_id) *
  FROM scored
  WHERE distance <= $8::float8
  ORDER BY fhir_resource_type, fhir_resource_id, distance
), nearest AS (
  SELECT id, distance
  FROM best
  ORDER BY distance, fhir_resource_type, fhir_resource_id
  LIMIT $9::int
)
SELECT fhir_resource_type, fhir_resource_id::text, version_id, patient_id::text, content_text, distance
FROM nearest JOIN public.clinical_embeddings USING (id)
ORDER BY distance, fhir_resource_type, fhir_resource_id
