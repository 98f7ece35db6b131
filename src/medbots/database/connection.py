"""Connections to Postgres, and the translation of its errors."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import conninfo

from medbots import errors, secret
from medbots.database import pooler

Connection = psycopg.AsyncConnection[tuple[Any, ...]]

SETTING = "MEDBOTS_DATABASE_URL"
_CONNECT_SECONDS = 10

_SESSION = {
    "statement_timeout": "60s",
    "lock_timeout": "15s",
    "idle_in_transaction_session_timeout": "120s",
    # Medplum's Postgres defaults to REPEATABLE READ, where waiting for a lock shows old rows.
    "default_transaction_isolation": "read committed",
    "client_min_messages": "notice",
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a URL points to: what may be shown of it."""

    host: str
    port: str
    database: str
    user: str
    setting: str = SETTING

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.database}"


@dataclass(slots=True)
class Notices:
    """What the database said beside its answers, in order."""

    lines: list[str] = field(default_factory=list)

    def __call__(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        """Keep one notice: its first line, which never holds a row's content."""
        severity = (diagnostic.severity_nonlocalized or "NOTICE").lower()
        text = diagnostic.message_primary or ""
        self.lines.append(text if severity == "notice" else f"{severity}: {text}")


def address(url: secret.Secret, setting: str = SETTING) -> Address:
    """Return what a database URL says, without its password.

    Raises:
        errors.UsageError: it is not a database URL. The value is not repeated.
    """
    try:
        parts = conninfo.conninfo_to_dict(url.reveal())
    except psycopg.ProgrammingError:
        parts = {}
    if not parts or _torn(url.reveal()):
        raise errors.UsageError(
            f"{setting} is not a database URL",
            hint=f"set {setting} to postgresql://USER@HOST:5432/DATABASE with :PASSWORD after the "
            "user, where special characters of the password are written as %XX",
        )
    user = str(parts.get("user") or "")
    return Address(
        host=str(parts.get("host") or parts.get("hostaddr") or "localhost"),
        port=str(parts.get("port") or "5432"),
        database=str(parts.get("dbname") or user or "postgres"),
        user=user or "the current user",
        setting=setting,
    )


def _torn(url: str) -> bool:
    """Whether an unescaped character of the password ends up in the host or the database.

    libpq takes such a URL, and every message would then show a part of the password.
    """
    scheme, _, rest = url.partition("://")
    if not scheme.lower().startswith("postgres"):
        return False
    authority, _, path = rest.partition("/")
    return authority.count("@") > 1 or "@" in path.partition("?")[0]


async def connect(
    url: secret.Secret,
    *,
    setting: str = SETTING,
    notices: Notices | None = None,
    kind: type[Connection] = psycopg.AsyncConnection,
) -> Connection:
    """Return an autocommitting connection with time limits on everything it does.

    TLS is as the URL's `sslmode` asks. `setting` names, in errors, where the URL came from; `kind`
    is the class of the connection.

    Raises:
        errors.UsageError: it is not a database URL.
        errors.UnreachableError: nothing answers there, or it does not speak as asked.
        errors.NotAllowedError: it refuses the user.
        errors.DatabaseError: there is no such database, it takes no connections now, or a pooler
            before it gives each transaction another session.
    """
    target = address(url, setting)
    defaults: dict[str, Any] = {
        "application_name": "medbots",
        "connect_timeout": _CONNECT_SECONDS,
        # Firewalls forget what is silent for some minutes, as while an index is built.
        "keepalives_idle": 60,
    }
    given = conninfo.conninfo_to_dict(url.reveal())
    parameters = defaults | {name: value for name, value in given.items() if value is not None}

    def opened() -> Awaitable[Connection]:
        # What a pooler prepared once it may have forgotten.
        return kind.connect(**parameters, autocommit=True, prepare_threshold=None)

    try:
        async with asyncio.timeout(2 * _CONNECT_SECONDS):
            connection = await opened()
    except (psycopg.Error, TimeoutError, OSError) as error:
        raise _connect_error(error, target) from error
    if notices is not None:
        connection.add_notice_handler(notices)
    try:
        with translated(target):
            await pooler.refuse(connection, opened, setting)
            await limit(connection)
    except BaseException:  # a cancelled task too leaves no connection behind
        await connection.close()
        raise
    return connection


async def limit(connection: Connection) -> None:
    """Set the session's time limits and isolation to those that every statement should have."""
    settings = ", ".join(f"set_config('{name}', %({name})s, false)" for name in _SESSION)
    await connection.execute(f"SELECT {settings}".encode(), _SESSION)


@contextlib.contextmanager
def translated(target: Address | None = None, doing: str = "") -> Iterator[None]:
    """Turn the errors of psycopg into ours. Details, which quote rows, are left out.

    Args:
        target: the database, for messages.
        doing: what was tried, such as `migration 0003`.
    """
    try:
        yield
    except psycopg.Error as error:
        where = f"{doing}: " if doing else ""
        said = error.diag.message_primary or str(error).strip().partition("\n")[0]
        name = str(target) if target else "the database"
        match error:
            case psycopg.errors.InsufficientPrivilege():
                raise errors.NotAllowedError(
                    f"{where}{said}",
                    hint=f"let {target.setting if target else SETTING} name a role that owns "
                    "public.clinical_embeddings, or a superuser",
                ) from error
            case psycopg.errors.LockNotAvailable() | psycopg.errors.QueryCanceled():
                raise errors.DatabaseError(
                    f"{where}{said}",
                    hint="another session holds a lock on the table: try again when it has ended "
                    "(SELECT pid, query FROM pg_stat_activity WHERE state <> 'idle')",
                ) from error
            case psycopg.errors.DiskFull():
                raise errors.DatabaseError(
                    f"{where}the disk of {name} is full: {said}", hint="make room and run it again"
                ) from error
            case psycopg.errors.ReadOnlySqlTransaction():
                raise errors.DatabaseError(
                    f"{where}{name} is read-only: it may be a standby",
                    hint=f"let {target.setting if target else SETTING} name the primary server",
                ) from error
            case psycopg.OperationalError() if error.sqlstate is None or error.sqlstate[:2] in (
                "08",
                "57",
            ):
                raise errors.UnreachableError(
                    f"{where}the connection to {name} was lost: {said}",
                    hint="run it again: what was done is kept, the rest is completed",
                ) from error
            case _:
                raise errors.DatabaseError(f"{where}{said}") from error


_SERVER_SAID = re.compile(r"FATAL:\s+(.*)")


def _connect_error(error: Exception, target: Address) -> errors.MedbotsError:
    """Classify a failed connection; libpq gives words alone, without a code."""
    text = str(error)
    found = _SERVER_SAID.search(text)
    said = found.group(1).strip() if found else ""
    where = f"{target} ({target.setting})"
    if "no password supplied" in text:
        return errors.NotAllowedError(
            f"the database at {where} wants a password of {target.user}, and none was given",
            hint=f"write it into {target.setting}, or into PGPASSWORD, or name by PGPASSFILE a "
            "file of mode 0600 that has it",
        )
    if "password authentication failed" in said:
        return errors.NotAllowedError(
            f"the database at {where} refuses the password of {target.user}",
            hint=f"correct user and password in {target.setting}",
        )
    if "pg_hba.conf" in said or ("role " in said and "does not exist" in said):
        return errors.NotAllowedError(
            f"the database at {where} refuses {target.user}: {said}",
            hint=f"correct the user in {target.setting}; "
            "pg_hba.conf on the server says who may connect from where",
        )
    if "database " in said and "does not exist" in said:
        return errors.DatabaseError(
            f"there is no database {target.database!r} at {target.host}:{target.port}",
            hint=f"correct {target.setting}, or make it: CREATE DATABASE {target.database}",
        )
    if said:
        return errors.DatabaseError(f"the database at {where} takes no connection: {said}")
    return errors.UnreachableError(
        f"the database at {where} cannot be reached: {_reason(error)}",
        hint=f"start it, or correct host and port in {target.setting}",
    )


def _reason(error: Exception) -> str:
    text = str(error)
    known = {
        "Connection refused": "nothing listens there",
        "could not translate host name": "the host name is unknown",
        "failed to resolve host": "the host name is unknown",
        "Name or service not known": "the host name is unknown",
        "timeout expired": f"no answer within {_CONNECT_SECONDS} s",
        "timed out": f"no answer within {_CONNECT_SECONDS} s",
        "server does not support SSL": "it does not speak TLS, which sslmode asks for",
        "certificate verify failed": "its TLS certificate is not trusted (sslrootcert)",
        "does not match host name": "its TLS certificate is for another host",
        "SSL error": "TLS failed",
    }
    if isinstance(error, TimeoutError):
        return f"no answer within {_CONNECT_SECONDS} s"
    for words, meaning in known.items():
        if words in text:
            return meaning
    return "the connection broke"
