-- The tables of embeddings that there are, the one in use first, with the length of their vectors.
SELECT g.name, a.atttypmod AS dimension
FROM unnest(ARRAY[
  'public.clinical_embeddings', 'public.clinical_embeddings_next', 'public.clinical_embeddings_previous'
]) WITH ORDINALITY AS g (name, rank)
JOIN pg_attribute a ON a.attrelid = to_regclass(g.name) AND a.attname = 'embedding' AND NOT a.attisdropped
-- Naming the table keeps it under its name until the transaction ends.
WHERE NOT EXISTS (SELECT FROM public.clinical_embeddings LIMIT 0)
ORDER BY g.rank
