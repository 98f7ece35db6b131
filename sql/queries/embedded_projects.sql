-- Which projects have rows of a model, a few of them.
-- $1 model version, $2 at most so many
SELECT project_id::text FROM public.clinical_embeddings
WHERE model_version = $1
GROUP BY project_id
ORDER BY project_id
LIMIT $2::int
