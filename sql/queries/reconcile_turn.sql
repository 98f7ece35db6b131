-- Takes the turn to reconcile a project, for this session; false where another session has it.
-- $1 project id
SELECT pg_try_advisory_lock(hashtextextended(concat_ws('/', 'medbots', 'reconcile', $1::text), 0))
