"""Connecting, and what goes wrong with it, in one sentence each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import psycopg
import pytest

from medbots import errors, secret
from medbots.database import connection
from tests.support import postgres as support
from tests.support import store

PASSWORD = "hunter2-very-secret"


def _url(text: str) -> secret.Secret:
    return secret.Secret(text)


def _replace(database: support.Database, **parts: str) -> secret.Secret:
    found = psycopg.conninfo.conninfo_to_dict(database.url.reveal())
    host, port = parts.get("host", found["host"]), parts.get("port", found["port"])
    user, name = parts.get("user", found["user"]), parts.get("name", found["dbname"])
    password = parts.get("password", found["password"])
    return _url(f"postgresql://{user}:{password}@{host}:{port}/{name}{parts.get('query', '')}")


async def test_a_session_is_limited_and_named(postgres: support.Database) -> None:
    """A connection has time limits, its own name, and sees what others have just committed."""
    async with store.connected(postgres.url) as connected:
        found = {}
        for name in (
            "application_name",
            "statement_timeout",
            "lock_timeout",
            "default_transaction_isolation",
        ):
            (found[name],) = await (await connected.execute(f"SHOW {name}")).fetchone() or ("",)
    assert found == {
        "application_name": "medbots",
        "statement_timeout": "1min",
        "lock_timeout": "15s",
        "default_transaction_isolation": "read committed",
    }


async def test_a_cancelled_connect_leaves_no_connection(
    postgres: support.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who gives up between the connection and its settings closes it."""
    opened: list[connection.Connection] = []
    there = asyncio.Event()

    async def halted(made: connection.Connection) -> None:
        opened.append(made)
        there.set()
        await asyncio.sleep(60)

    monkeypatch.setattr(connection, "limit", halted)
    connecting = asyncio.create_task(connection.connect(postgres.url))
    await there.wait()
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    assert opened[0].closed


async def test_a_quiet_connection_shows_that_it_is_there(postgres: support.Database) -> None:
    """Firewalls forget a connection by which nothing is said while an index is built."""
    url = _replace(postgres, query="?keepalives_idle=20")
    for where, seconds in ((postgres.url, "60"), (url, "20")):
        async with store.connected(where) as connected:
            assert connected.info.get_parameters()["keepalives_idle"] == seconds


async def test_notices_are_collected(postgres: support.Database) -> None:
    """What the database says beside its answers reaches the caller, in order."""
    notices = connection.Notices()
    connected = await connection.connect(postgres.url, notices=notices)
    await connected.execute("DO $$ BEGIN RAISE NOTICE 'one'; RAISE WARNING 'two'; END $$")
    await connected.close()
    assert notices.lines == ["one", "warning: two"]


async def _refused(url: secret.Secret) -> errors.MedbotsError:
    with pytest.raises(errors.MedbotsError) as caught:
        await connection.connect(url)
    assert PASSWORD not in f"{caught.value.message} {caught.value.hint}"
    return caught.value


async def test_nothing_listens(postgres: support.Database) -> None:
    """A database that is down is exit 5, with host, port and setting."""
    error = await _refused(_url(f"postgresql://me:{PASSWORD}@127.0.0.1:9/medplum"))
    assert isinstance(error, errors.UnreachableError)
    assert error.message == (
        "the database at 127.0.0.1:9/medplum (MEDBOTS_DATABASE_URL) cannot be reached: "
        "nothing listens there"
    )
    assert "MEDBOTS_DATABASE_URL" in (error.hint or "")


@pytest.mark.enable_socket
async def test_unknown_host() -> None:
    """A host name that does not exist is exit 5 and says so."""
    error = await _refused(_url(f"postgresql://me:{PASSWORD}@no.such.host.invalid/medplum"))
    assert isinstance(error, errors.UnreachableError)
    assert "the host name is unknown" in error.message


async def test_wrong_password(postgres: support.Database) -> None:
    """A wrong password is exit 4 and names the user, not the password."""
    error = await _refused(_replace(postgres, password=PASSWORD))
    assert isinstance(error, errors.NotAllowedError)
    assert "refuses the password of postgres" in error.message


async def test_no_password(postgres: support.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password that is missing is not called a wrong one."""
    monkeypatch.setenv("PGPASSFILE", "/nowhere")
    error = await _refused(_replace(postgres, password=""))
    assert isinstance(error, errors.NotAllowedError)
    assert error.message.endswith("wants a password of postgres, and none was given")
    assert "PGPASSFILE" in (error.hint or "")


async def test_unknown_role(postgres: support.Database) -> None:
    """An unknown role looks as a wrong password does: Postgres does not tell them apart."""
    error = await _refused(_replace(postgres, user="nobody_at_all", password=PASSWORD))
    assert isinstance(error, errors.NotAllowedError)
    assert "nobody_at_all" in error.message


async def test_unknown_database(postgres: support.Database) -> None:
    """A database that does not exist names the statement that makes it."""
    error = await _refused(_replace(postgres, name="no_such_database"))
    assert isinstance(error, errors.DatabaseError)
    assert "CREATE DATABASE no_such_database" in (error.hint or "")


async def test_tls_is_as_the_url_asks(postgres: support.Database) -> None:
    """A server without TLS refuses sslmode=require, instead of going on in the clear."""
    error = await _refused(_replace(postgres, query="?sslmode=require"))
    assert isinstance(error, errors.UnreachableError)
    assert "TLS" in error.message


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql//me:{PASSWORD}@host/db",
        f"postgresql://me:{PASSWORD}@[::1/db",
        f"postgresql://me:{PASSWORD}%zz@host/db",
        f"postgresql://me:{PASSWORD}@host/db?sslmood=require",
        f"postgresql://me:x@{PASSWORD}@host/db",
        f"postgresql://me:{PASSWORD}/x@host:5432/db",
        f"postgres://me:x/{PASSWORD}@host",
    ],
)
async def test_not_a_database_url(text: str) -> None:
    """What is no database URL is a usage error that does not repeat it."""
    error = await _refused(_url(text))
    assert isinstance(error, errors.UsageError)
    assert error.message == "MEDBOTS_DATABASE_URL is not a database URL"


@contextlib.asynccontextmanager
async def _answering(text: bytes) -> AsyncIterator[int]:
    """Yield the port of a server that says `text`, and nothing more, to one client."""
    over, gone = asyncio.Event(), asyncio.Event()

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        if text:
            writer.write_eof()
        await over.wait()
        writer.close()
        await writer.wait_closed()
        gone.set()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        over.set()
        await gone.wait()


@pytest.mark.enable_socket
async def test_a_server_that_is_no_database() -> None:
    """What answers with something else than Postgres is exit 5."""
    async with _answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        error = await _refused(_url(f"postgresql://me:{PASSWORD}@127.0.0.1:{port}/medplum"))
    assert isinstance(error, errors.UnreachableError)


@pytest.mark.enable_socket
async def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that accepts and is silent is given up after the time limit."""
    monkeypatch.setattr(connection, "_CONNECT_SECONDS", 0.2)
    async with _answering(b"") as port:
        error = await _refused(_url(f"postgresql://me:{PASSWORD}@127.0.0.1:{port}/medplum"))
    assert isinstance(error, errors.UnreachableError)
    assert "no answer within" in error.message


@pytest.mark.parametrize(
    ("statement", "kind", "word"),
    [
        ("SELECT pg_sleep(5)", errors.DatabaseError, "statement timeout"),
        ("SET TRANSACTION READ ONLY; CREATE TABLE t ()", errors.DatabaseError, "read-only"),
        ("SELECT pg_terminate_backend(pg_backend_pid())", errors.UnreachableError, "was lost"),
        ("SELECT nonsense", errors.DatabaseError, "nonsense"),
    ],
)
async def test_statements_that_fail(
    postgres: support.Database, statement: str, kind: type[errors.MedbotsError], word: str
) -> None:
    """Each failure of a statement is one of ours, with a sentence."""
    async with store.connected(postgres.url) as connected:
        await connected.execute("SET statement_timeout = '200ms'")
        with (
            pytest.raises(kind) as caught,
            connection.translated(connection.address(postgres.url)),
        ):
            await connected.execute(statement)
    assert word in caught.value.message


async def test_an_error_never_quotes_a_row(postgres: support.Database) -> None:
    """The detail of a constraint's error, which shows the row, is left out."""
    async with store.connected(postgres.url) as connected:
        await connected.execute("CREATE TABLE notes (text text NOT NULL, id int NOT NULL)")
        with pytest.raises(errors.DatabaseError) as caught, connection.translated():
            await connected.execute("INSERT INTO notes VALUES ('Mrs Miller has diabetes', NULL)")
    assert "Miller" not in f"{caught.value.message} {caught.value.hint}"
    assert "null value" in caught.value.message
