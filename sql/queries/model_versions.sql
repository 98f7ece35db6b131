-- How many rows of a project each model version has.
-- $1 project id
SELECT model_version, count(*)
FROM public.clinical_embeddings
WHERE project_id = $1::uuid
GROUP BY model_version
ORDER BY count(*) DESC, model_version
