"""DATABASE_URL: the secret by which a project's bots find their database."""

from __future__ import annotations

import contextlib
from urllib.parse import quote, urlencode

import psycopg
from psycopg import conninfo

from medbots import errors, secret
from medbots.database import connection as connection_module
from medbots.database import roles

SECRET = "DATABASE_URL"  # noqa: S105
SETTING = "MEDBOTS_BOT_DATABASE_URL"

_HERE_ALONE = frozenset({"user", "password", "host", "hostaddr", "port", "dbname", "sslmode"})
"""Parts of a URL that stand elsewhere in it; others, such as paths of files, mean this machine."""


def build(
    connection: connection_module.Connection,
    given: secret.Secret | None,
    role: roles.Role,
    password: secret.Secret,
) -> secret.Secret:
    """Return the URL for the bots.

    Host, port, database and parameters are those of `given` (as seen from the Medplum server), or
    those of `connection`, of whose parameters only `sslmode` means the same on another machine.

    Raises:
        errors.UsageError: `given` is not a database URL.
    """
    info = connection.info
    if given is None:
        mode = info.get_parameters().get("sslmode")
        parts = {"host": info.host, "port": str(info.port), "dbname": info.dbname}
        extra = {"sslmode": mode} if mode else {}
    else:
        connection_module.address(given, SETTING)
        found = conninfo.conninfo_to_dict(given.reveal())
        parts = {name: str(value) for name, value in found.items() if value is not None}
        extra = {name: value for name, value in parts.items() if name not in _HERE_ALONE}
        if "sslmode" in parts:
            extra["sslmode"] = parts["sslmode"]
    host = parts.get("host") or parts.get("hostaddr") or "localhost"
    if host.startswith("/"):
        extra, host = {"host": host, **extra}, ""
    elif ":" in host:
        host = f"[{host}]"
    login = f"{quote(role.name, safe='')}:{quote(password.reveal(), safe='')}"
    where = f"{host}:{parts.get('port') or 5432}" if host else ""
    name = quote(parts.get("dbname") or info.dbname, safe="")
    query = f"?{urlencode(extra)}" if extra else ""
    return secret.Secret(f"postgresql://{login}@{where}/{name}{query}")


def password_of(url: secret.Secret | None, role: roles.Role) -> secret.Secret | None:
    """Return the password that a URL has for the role; None where it names another role."""
    if not url:
        return None
    try:
        parts = conninfo.conninfo_to_dict(url.reveal())
    except psycopg.ProgrammingError:
        return None
    if parts.get("user") != role.name or not parts.get("password"):
        return None
    return secret.Secret(str(parts["password"]))


async def opens(
    connection: connection_module.Connection, role: roles.Role, password: secret.Secret
) -> bool | None:
    """Return whether the role can log in with this password, tried over the owner's own way.

    None: it cannot be told from here, for the server takes the role from other machines only.
    """
    info = connection.info
    same_way = info.get_parameters() | {"host": info.host, "port": str(info.port)}
    for name in ("user", "password", "passfile", "application_name", "options", "dbname"):
        same_way.pop(name, None)
    url = secret.Secret(
        conninfo.make_conninfo(
            **same_way, user=role.name, password=password.reveal(), dbname=info.dbname
        )
    )
    try:
        bot = await connection_module.connect(url)
    except errors.NotAllowedError as error:
        return None if "pg_hba.conf" in error.message else False
    except (errors.UnreachableError, errors.DatabaseError):
        return None
    with contextlib.suppress(psycopg.Error):
        await bot.close()
    return True
