-- What has happened to a table of embeddings, by the statistics of the server. No line where there is none.
-- $1 table, such as public.clinical_embeddings
-- rows: at the last analysis, -1 before the first; dead: row versions that no vacuum has removed yet;
-- updated: only those updates that gave the row new entries in the indexes
-- owned: whether this login may vacuum it
SELECT
  c.reltuples::bigint AS rows,
  coalesce(s.n_live_tup, 0) AS live,
  coalesce(s.n_dead_tup, 0) AS dead,
  coalesce(s.n_tup_del, 0) AS deleted,
  coalesce(s.n_tup_upd - s.n_tup_hot_upd, 0) AS updated,
  coalesce(s.n_mod_since_analyze, 0) AS modified,
  greatest(s.last_analyze, s.last_autoanalyze) AS analyzed_at,
  coalesce(s.n_ins_since_vacuum, 0) AS inserted,
  greatest(s.last_vacuum, s.last_autovacuum) AS vacuumed_at,
  a.atttypmod AS dimension,
  pg_has_role(c.relowner, 'USAGE') AS owned
FROM pg_class c
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'embedding' AND NOT a.attisdropped
  LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
WHERE c.oid = to_regclass($1) AND c.relkind = 'r'
