-- The nearest resources of a whole project, through the HNSW index, best chunk of each resource.
-- More chunks than resources are fetched, for the chunks of one long document lie close together.
-- $1 query vector (binary form of type vector), $2 project id, $3 model version, $4 resource types or null,
-- $5 content type or null, $6 first and $7 last clinical date (YYYY-MM-DD) or null, $8 greatest cosine distance,
-- $9 number of resources, $10 number of chunks to fetch
-- reached: chunks that the index gave. It stops looking after 20000 rows (hnsw.max_scan_tuples): under a filter that
-- few rows pass, it gives fewer than were asked for although there are more.
WITH nearest AS MATERIALIZED (
  SELECT fhir_resource_type, fhir_resource_id, version_id, patient_id, content_text,
    embedding <=> $1::vector::halfvec AS distance
  FROM public.clinical_embeddings
    -- When: each chunk begins with a header such as [Condition | 2024-03-01 | Onset]. No regular expression:
    -- one takes longer than the distance.
    CROSS JOIN LATERAL (SELECT split_part(left(content_text, 64), ' | ', 2)) AS header (day)
  WHERE project_id = $2::uuid AND model_version = $3
    AND ($4::text[] IS NULL OR fhir_resource_type = ANY ($4::text[]))
    AND ($5::text IS NULL OR content_type = $5::text)
    AND ($6::text IS NULL AND $7::text IS NULL
      OR translate(day, '123456789', '000000000') IN ('0000', '0000-00', '0000-00-00')
        AND ($6::text IS NULL OR day >= left($6::text, length(day)))
        AND ($7::text IS NULL OR day <= left($7::text, length(day))))
  ORDER BY embedding <=> $1::vector::halfvec
  LIMIT $10::int
), best AS (
  SELECT DISTINCT ON (fhir_resource_type, fhir_resource_id) *
  FROM nearest
  WHERE distance <= $8::float8
  ORDER BY fhir_resource_type, fhir_resource_id, distance
)
SELECT fhir_resource_type, fhir_resource_id::text, version_id, patient_id::text, content_text, distance,
  (SELECT count(*) FROM nearest)::int AS reached
FROM best
ORDER BY distance, fhir_resource_type, fhir_resource_id
LIMIT $9::int
