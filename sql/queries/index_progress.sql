-- How far the index build of a session is, in the unit of its phase: sessions waited for, tuples or blocks.
-- $1 process id of the session
SELECT
  phase,
  CASE
    WHEN phase LIKE 'waiting%' THEN lockers_done
    WHEN phase LIKE '%in tree' OR blocks_total = 0 THEN tuples_done
    ELSE blocks_done
  END AS done,
  CASE
    WHEN phase LIKE 'waiting%' THEN lockers_total
    WHEN phase LIKE '%in tree' OR blocks_total = 0 THEN tuples_total
    ELSE blocks_total
  END AS total
FROM pg_stat_progress_create_index
WHERE pid = $1::int
