"""The URL that the bots get: where it leads, and whose password it holds."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from psycopg import conninfo

from medbots import errors, secret
from medbots.database import bot_url, roles
from tests.support import postgres as support
from tests.support import store

ROLE = roles.of_project(store.PROJECT, "medplum")
PASSWORD = secret.Secret("p@ss/word:%1")


def _connection(host: str = "db.clinic.example", port: int = 5432, **parameters: str) -> Any:
    return SimpleNamespace(
        info=SimpleNamespace(
            host=host, port=port, dbname="medplum", get_parameters=lambda: dict(parameters)
        )
    )


def _build(connection: Any, given: str | None = None) -> dict[str, Any]:
    url = bot_url.build(
        connection, secret.Secret(given) if given else None, ROLE, PASSWORD
    ).reveal()
    assert url.startswith("postgresql://")
    return {name: value for name, value in conninfo.conninfo_to_dict(url).items() if value}


@pytest.mark.parametrize(
    ("connection", "given", "expected"),
    [
        (_connection(), None, {"host": "db.clinic.example", "port": "5432", "dbname": "medplum"}),
        (
            _connection(sslmode="verify-full", sslrootcert="/home/me/ca.pem", user="owner"),
            None,
            {
                "host": "db.clinic.example",
                "port": "5432",
                "dbname": "medplum",
                "sslmode": "verify-full",
            },
        ),
        (_connection("::1"), None, {"host": "::1", "port": "5432", "dbname": "medplum"}),
        (
            _connection("/var/run/postgresql"),
            None,
            {"host": "/var/run/postgresql", "dbname": "medplum"},
        ),
        (
            _connection(),
            "postgresql://x:y@postgres/other%20name?sslmode=require&sslrootcert=/etc/ca.pem",
            {
                "host": "postgres",
                "port": "5432",
                "dbname": "other name",
                "sslmode": "require",
                "sslrootcert": "/etc/ca.pem",
            },
        ),
        (
            _connection(),
            "host=postgres port=6432",
            {"host": "postgres", "port": "6432", "dbname": "medplum"},
        ),
    ],
    ids=["same", "files stay here", "IPv6", "socket", "given", "key and value"],
)
def test_where_it_leads(connection: Any, given: str | None, expected: dict[str, str]) -> None:
    """Host, port, name and TLS come from where they should; role and password are the bots'."""
    login = {"user": ROLE.name, "password": PASSWORD.reveal()}
    assert _build(connection, given) == expected | login


def test_a_bad_address_is_not_repeated() -> None:
    """What is no database URL is refused by the setting's name."""
    with pytest.raises(errors.UsageError, match="MEDBOTS_BOT_DATABASE_URL") as caught:
        _build(_connection(), "postgres//me:hunter2@host")
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "hunter2",
        "postgresql://medplum:medplum@postgres:5432/medplum",
        f"postgresql://{ROLE.name}@postgres:5432/medplum",
    ],
)
def test_a_password_of_somebody_else(url: str | None) -> None:
    """Only a URL of this very role holds its password."""
    stored = None if url is None else secret.Secret(url)
    assert bot_url.password_of(stored, ROLE) is None


async def test_whether_a_password_opens(postgres: support.Database) -> None:
    """The right password opens, another one does not."""
    secrets = store.Secrets()
    await store.initialised(postgres.url, secrets)
    role = roles.of_project(store.PROJECT, postgres.name)
    password = bot_url.password_of(secrets.url, role)
    assert password is not None
    async with store.connected(postgres.url) as owner:
        assert await bot_url.opens(owner, role, password) is True
        assert await bot_url.opens(owner, role, secret.Secret("wrong")) is False


async def test_a_server_that_takes_the_role_from_elsewhere_only(
    postgres_server: support.Server, postgres: support.Database
) -> None:
    """Where pg_hba.conf keeps the role from connecting from here, its password is left alone."""
    secrets = store.Secrets()
    await store.initialised(postgres.url, secrets)
    before = secrets.url
    rules = postgres_server.embedded.data / "pg_hba.conf"
    kept = rules.read_text()
    role = roles.of_project(store.PROJECT, postgres.name).name
    rules.write_text(f"host all {role} 127.0.0.1/32 reject\n{kept}")
    try:
        async with store.connected(postgres.url) as owner:
            await owner.execute("SELECT pg_reload_conf()")
        steps = await store.initialised(postgres.url, secrets)
    finally:
        rules.write_text(kept)
        async with store.connected(postgres.url) as owner:
            await owner.execute("SELECT pg_reload_conf()")
    assert steps[-1].details == ("the password could not be tried from here",)
    assert secrets.url == before
