-- Gives the turn to fire back.
-- $1 project id
SELECT pg_advisory_unlock(hashtextextended(concat_ws('/', 'medbots', 'verify', $1::text), 0))
