"""Fixtures for everybody."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest

from tests.support import postgres as support

# A busy machine is no failure: what must be fast is measured by benchmarks.
hypothesis.settings.register_profile("medbots", deadline=None)
hypothesis.settings.load_profile("medbots")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[support.Server]:
    """An embedded Postgres with pgvector, shared by the tests of this process."""
    with support.sockets_allowed():
        running = support.server()
        server = running.__enter__()
    try:
        yield server
    finally:
        running.__exit__(None, None, None)


@pytest.fixture
def postgres(postgres_server: support.Server) -> Iterator[support.Database]:
    """A fresh database with pgvector; whoever connects as the superuser may do anything in it."""
    with postgres_server.database() as database:
        yield database
