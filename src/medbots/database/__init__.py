"""The embedding store in Postgres: its schema, who may use it, and what state it is in."""
