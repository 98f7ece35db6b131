-- Each project's role sees its own rows alone: `db init` adds one policy for each of them.
ALTER TABLE public.clinical_embeddings ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.clinical_embedding_tombstones ENABLE ROW LEVEL SECURITY;
