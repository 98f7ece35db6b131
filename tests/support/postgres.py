"""Databases for tests: one embedded Postgres a process, a fresh database a test.

    python -m tests.support.postgres -- COMMAND…

runs a command with MEDBOTS_TEST_DATABASE_URL naming an empty database with pgvector, where the
command may create and drop what it likes.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import urllib.parse
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest_socket

from medbots import secret
from medbots.local import postgres

# What is tested here are statements, not the disk: one fsync a commit would be most of the time.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_TEMPLATE = "medbots_template"


@dataclass(frozen=True)
class Database:
    """A fresh database with pgvector."""

    name: str
    url: secret.Secret
    """As the superuser."""

    def url_as(self, user: str, password: str) -> secret.Secret:
        """Return the URL of this database for another role."""
        parts = urllib.parse.urlsplit(self.url.reveal())
        login = f"{urllib.parse.quote(user)}:{urllib.parse.quote(password, safe='')}"
        return secret.Secret(
            parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}").geturl()
        )


class Server:
    """A running embedded Postgres that makes databases."""

    def __init__(self, embedded: postgres.EmbeddedPostgres) -> None:
        """Make the template that databases are copied from."""
        self.embedded = embedded
        with self.admin() as admin:
            admin.execute(f"CREATE DATABASE {_TEMPLATE}")
        with psycopg.connect(embedded.url_of(_TEMPLATE).reveal(), autocommit=True) as template:
            template.execute("CREATE EXTENSION vector")

    def admin(self) -> psycopg.Connection:
        """Connect as the superuser to the server's own database."""
        return psycopg.connect(self.embedded.url_of("postgres").reveal(), autocommit=True)

    @contextlib.contextmanager
    def database(self, template: str = _TEMPLATE) -> Iterator[Database]:
        """Make a database and drop it at the end, with the roles that were made meanwhile."""
        name = f"test_{uuid.uuid4().hex[:16]}"
        with self.admin() as admin:
            before = _roles(admin)
            admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield Database(name, self.embedded.url_of(name))
        finally:
            with self.admin() as admin:
                admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
                for role in _roles(admin) - before:
                    admin.execute(f'DROP ROLE "{role}"')


def _roles(admin: psycopg.Connection) -> set[str]:
    return {str(row[0]) for row in admin.execute("SELECT rolname FROM pg_roles")}


@contextlib.contextmanager
def sockets_allowed() -> Iterator[None]:
    """Let Python open sockets: to find a free port on loopback."""
    pytest_socket.enable_socket()
    try:
        yield
    finally:
        pytest_socket.disable_socket(allow_unix_socket=True)


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """Run an embedded Postgres in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="medbots-test-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # the account that runs Postgres for root passes through
        embedded = postgres.EmbeddedPostgres(Path(folder) / "postgres", settings=FAST)
        try:
            embedded.start()
            with _ended_with_us(embedded.pid, Path(folder)):
                yield Server(embedded)
        finally:
            embedded.remove()


@contextlib.contextmanager
def _ended_with_us(pid: int | None, folder: Path) -> Iterator[None]:
    """Let a server end with this process, also when that is killed: its end of a pipe closes."""
    script = 'cat >/dev/null; kill -INT "$1"; while kill -0 "$1"; do sleep 0.1; done; rm -rf "$2"'
    watchdog = subprocess.Popen(
        ["/bin/sh", "-c", script, "sh", str(pid), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        watchdog.kill()
        watchdog.communicate()


def main(argv: list[str]) -> int:
    """Run a command beside a database; return its exit code."""
    command = argv[1:] if argv[:1] == ["--"] else argv
    if not command:
        sys.stderr.write(f"{__doc__}\n")
        return 64
    with server() as running, running.database() as database:
        environ = os.environ | {"MEDBOTS_TEST_DATABASE_URL": database.url.reveal()}
        return subprocess.run(command, check=False, env=environ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
