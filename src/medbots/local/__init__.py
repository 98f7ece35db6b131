"""The whole stack on this machine, without Docker: supervisor, Postgres and model server."""
