-- How many rows of a project each model version has, and how many of them medbots' bot wrote: rows
-- that were taken over from the deployment guide's table have no known content hash.
-- $1 project id
SELECT model_version, count(*), count(*) FILTER (WHERE content_hash <> 'unknown')
FROM public.clinical_embeddings
WHERE project_id = $1::uuid
GROUP BY model_version
ORDER BY count(*) DESC, model_version
