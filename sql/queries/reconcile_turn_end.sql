-- Gives the turn to reconcile back.
-- $1 project id
SELECT pg_advisory_unlock(hashtextextended(concat_ws('/', 'medbots', 'reconcile', $1::text), 0))
