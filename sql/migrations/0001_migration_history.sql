-- What has been applied here, by whom, and from which text.
CREATE TABLE IF NOT EXISTS public.medbots_migrations (
  version int PRIMARY KEY,
  name text NOT NULL,
  checksum text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now(),
  applied_by text NOT NULL DEFAULT session_user,
  medbots_version text NOT NULL
);
