-- Settings of one search, for its transaction only. force_custom_plan lets the planner see the model version,
-- without which it cannot prove that the partial index holds every row asked for.
-- $1 statement time limit in milliseconds
SELECT
  set_config('statement_timeout', $1::text, true),
  set_config('plan_cache_mode', 'force_custom_plan', true),
  set_config('hnsw.ef_search', '100', true),
  set_config('hnsw.iterative_scan', 'relaxed_order', true)
