-- Settings of one search, for its transaction only, and the way that it is to go. Always one row.
-- $1 statement time limit in milliseconds, $2 project id, $3 model version, $4 resource types or null,
-- $5 dimensions of the query's vector, $6 whether the rows of one patient are searched, $7 chunks to fetch
-- generation: the table whose vectors have that many dimensions, null where there is none
-- dimensions: what the tables have
-- way, one of
--   patient  that patient's rows, exactly
--   type     the partial index of the one type
--   exact    few rows, or a small share of the model's: all of them
--   index    the model's index
--   wide     the same with a longer list: many rows, which may be a small share
--
-- Rows are counted only up to the number that decides, and only where the answer is not known without:
-- pg_stats shows nothing of a table under row security.
--
-- The list of an index scan is as long as the answer: a shorter one is filled again and again.
-- force_custom_plan lets the planner see model version and type, without which it cannot prove that a
-- partial index holds every row asked for.
WITH generation AS MATERIALIZED (
  SELECT g.name, to_regclass(g.name) AS id, a.atttypmod AS dimension, g.rank
  FROM unnest(ARRAY[
    'public.clinical_embeddings', 'public.clinical_embeddings_next', 'public.clinical_embeddings_previous'
  ]) WITH ORDINALITY AS g (name, rank)
  JOIN pg_attribute a ON a.attrelid = to_regclass(g.name) AND a.attname = 'embedding' AND NOT a.attisdropped
), chosen AS MATERIALIZED (
  SELECT name, id FROM generation WHERE dimension = $5::int ORDER BY rank LIMIT 1
), vector_index AS MATERIALIZED (
  SELECT pg_get_expr(i.indpred, i.indrelid) AS predicate, c.reltuples
  FROM chosen JOIN pg_index i ON i.indrelid = chosen.id
  JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
  WHERE a.amname = 'hnsw' AND i.indisvalid AND i.indisready
), serving AS MATERIALIZED (
  -- The index of the one type, else the model's; with as many rows, of every project, as it had when the
  -- table was last analysed.
  SELECT predicate LIKE '%fhir_resource_type%' AS of_type, greatest(reltuples, 0)::int AS rows
  FROM vector_index
  WHERE predicate = format('((model_version)::text = %L::text)', $3::text)
    OR cardinality($4::text[]) = 1 AND predicate = format(
      '(((model_version)::text = %L::text) AND ((fhir_resource_type)::text = %L::text))', $3::text, ($4::text[])[1]
    )
  ORDER BY of_type DESC, rows DESC
  LIMIT 1
), known AS MATERIALIZED (
  SELECT
    coalesce((SELECT of_type FROM serving), false) AS of_type,
    -- What a tenth of the index's rows is: of more, it finds enough. Up to 1000 are read exactly in
    -- milliseconds, above 20000 exactness costs too much.
    coalesce(
      (SELECT least(20000, greatest(1000, rows / 10)) FROM serving WHERE rows > 0), 20000
    ) AS few,
    -- Whether every row of the index is meant: one project has it alone, and it is of what is looked for.
    coalesce((SELECT CASE WHEN of_type THEN rows > 0 ELSE rows > 1000 AND $4::text[] IS NULL END FROM serving), false)
      AND (SELECT count(*) < 2 FROM pg_policy p, chosen WHERE p.polrelid = chosen.id AND p.polcmd = '*') AS whole,
    -- The tables hold the same records: those of another table are counted in the one that has this name.
    (SELECT name FROM chosen) <> 'public.clinical_embeddings' AS elsewhere
), decided AS MATERIALIZED (
  SELECT CASE
    WHEN $6::boolean THEN 'patient'
    WHEN NOT whole AND (
      SELECT count(*) FROM (
        SELECT FROM public.clinical_embeddings
        WHERE project_id = $2::uuid AND (model_version = $3 OR (SELECT elsewhere FROM known))
          AND ($4::text[] IS NULL OR fhir_resource_type = ANY ($4::text[]))
        LIMIT (SELECT few + 1 FROM known)
      ) AS counted
    ) <= few THEN 'exact'
    WHEN of_type THEN 'type'
    WHEN whole OR few < 20000 THEN 'index'
    ELSE 'wide'
  END AS way
  FROM known
)
SELECT
  (SELECT name FROM chosen) AS generation,
  ARRAY(SELECT dimension FROM generation ORDER BY rank) AS dimensions,
  way,
  set_config('statement_timeout', $1::text, true),
  set_config('plan_cache_mode', 'force_custom_plan', true),
  -- The planner takes a distance for as cheap as a comparison: off, it sorts only where no index does.
  set_config('enable_sort', CASE WHEN way IN ('patient', 'exact') THEN 'on' ELSE 'off' END, true),
  -- Up to Postgres 17 a plan that sorts nevertheless counts as immensely costly, and would be compiled first.
  set_config('jit', 'off', true),
  set_config(
    'hnsw.ef_search', least(1000, greatest(CASE way WHEN 'wide' THEN 200 ELSE 100 END, $7::int))::text, true
  ),
  set_config('hnsw.iterative_scan', 'relaxed_order', true)
FROM decided
