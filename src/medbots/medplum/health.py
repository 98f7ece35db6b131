"""What a Medplum server says of itself, to anybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medbots import errors
from medbots.medplum import http, outcome

if TYPE_CHECKING:
    import httpx

_NOT_FOUND = 404
_TIME_LIMIT = 15.0
"""Seconds; the server asks its database and Redis before it answers."""


@dataclass(frozen=True, slots=True)
class Health:
    """The fields of `/healthcheck`. Its `ok` is always true and is left out for that reason."""

    version: str
    """Such as `5.1.3-af1c2d3`; empty when the server does not say."""
    postgres: bool | None
    """None: the server says nothing of it."""
    redis: bool | None


async def read(
    base_url: str, origin: str, *, transport: httpx.AsyncBaseTransport | None = None
) -> Health:
    """Return what the server says of itself, without a login.

    Args:
        base_url: the server's, with a final slash.
        origin: where that came from, for messages.
        transport: what carries the request; None: the network.

    Raises:
        errors.UnreachableError: no answer, or not a Medplum server's.
        errors.ServerError: the server refused.
    """
    async with http.Http(base_url, origin, transport=transport) as connection:
        answer = await connection.send("GET", "healthcheck", time_limit=_TIME_LIMIT)
    document = answer.document()
    if not answer.ok and answer.status != _NOT_FOUND:
        raise outcome.error(answer.status, document, answer.request)
    if not answer.ok or not isinstance(document, dict):
        raise errors.UnreachableError(
            f"{answer.request}: {base_url} ({origin}) answered HTTP {answer.status} without "
            "a Medplum server's health: is this a Medplum server?",
            hint="MEDPLUM_BASE_URL or --base-url names the server (its API, not its web app)",
        )
    return Health(
        version=str(document.get("version") or ""),
        postgres=_flag(document.get("postgres")),
        redis=_flag(document.get("redis")),
    )


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None
