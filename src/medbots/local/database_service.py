"""The embedded Postgres as a service of the stack."""

from __future__ import annotations

from concurrent import futures
from pathlib import Path

import psycopg

from medbots import secret
from medbots.local import ports, postgres

_PROBE_SECONDS = 2


class DatabaseService:
    """Postgres with pgvector. It starts in a thread, beside the other services."""

    name = "postgres"

    def __init__(self, folder: Path, port: int) -> None:
        self._server = postgres.EmbeddedPostgres(folder, port, say=self._say)
        self._port = port
        self._starting: futures.Future[None] | None = None
        self.url = f"postgresql://{ports.HOST}:{port}/{postgres.DATABASE}"
        self.log = self._server.log
        self.notes: list[str] = []
        """What a user would want to know of the last start."""

    @property
    def login(self) -> secret.Secret:
        """Where the superuser connects, with the password."""
        return self._server.url

    def pid(self) -> int | None:
        """Return the process id of the live server."""
        return self._server.pid

    def is_current(self) -> bool:
        """Return whether it listens on the port it should."""
        return self._server.pid is not None and self._server.port == self._port

    def is_healthy(self) -> bool:
        """Return whether it runs and answers a query."""
        if self._server.pid is None:
            return False
        try:
            with psycopg.connect(self.login.reveal(), connect_timeout=_PROBE_SECONDS) as session:
                session.execute("SELECT 1")
        except psycopg.Error:
            return False
        return True

    def start(self) -> None:
        """Begin to start the server."""
        threads = futures.ThreadPoolExecutor(max_workers=1)
        self._starting = threads.submit(self._server.start)
        threads.shutdown(wait=False)

    def is_ready(self) -> bool:
        """Return whether it has started."""
        if self._starting is None or not self._starting.done():
            return False
        self._starting.result()
        return self.is_healthy()

    def stop(self) -> bool:
        """Stop the server; one that is just starting is waited for first."""
        if self._starting is not None:
            futures.wait([self._starting])
            self._starting = None
        return self._server.stop()

    def places(self) -> list[Path]:
        """Return the folder of the database files, where the server's account needs another."""
        data = self._server.data
        return [] if data.is_relative_to(self._server.folder) else [data.parent]

    def remove(self) -> None:
        """Delete the database files, wherever they lie."""
        self._server.remove()

    def _say(self, note: str) -> None:
        self.notes.append(note)
