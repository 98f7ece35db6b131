#!/bin/bash
# Runs once, on an empty volume: Medplum's role and database, and the extensions that need a
# superuser. The password goes in by a variable of psql, never by the command line.
set -euo pipefail

psql --username "$POSTGRES_USER" --dbname postgres --set ON_ERROR_STOP=1 <<'SQL'
\getenv password MEDPLUM_DATABASE_PASSWORD
CREATE ROLE medplum LOGIN PASSWORD :'password';
CREATE DATABASE medplum OWNER medplum;
\connect medplum
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;
CREATE EXTENSION IF NOT EXISTS vector;
SQL
