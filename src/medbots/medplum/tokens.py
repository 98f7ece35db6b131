"""What a login yields: an access token, perhaps one to refresh it, and when it ends."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from medbots import errors, secret
from medbots.medplum import outcome

_MARGIN = timedelta(seconds=30)
"""A token this close to its end is renewed before it is used."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of one login."""

    access: secret.Secret
    refresh: secret.Secret | None = None
    """Works once: the server answers with the next one. None for clients and super admins."""
    expires_at: datetime | None = None
    """UTC; None: not known."""

    def stale(self, now: datetime) -> bool:
        """Whether the access token has ended, or is about to."""
        return self.expires_at is not None and now >= self.expires_at - _MARGIN


def granted(document: Any, now: datetime) -> Tokens:
    """Read the answer of the token endpoint.

    Raises:
        errors.ServerError: it holds no access token.
    """
    access = document.get("access_token") if isinstance(document, dict) else None
    if not isinstance(access, str) or not access:
        raise errors.ServerError(
            "oauth2/token answered without an access token: is this a Medplum server?",
            hint=outcome.WRONG_SERVER,
        )
    refresh = document.get("refresh_token")
    seconds = document.get("expires_in")
    known = isinstance(seconds, int | float) and seconds > 0
    return Tokens(
        access=secret.Secret(access),
        refresh=secret.Secret(refresh) if isinstance(refresh, str) and refresh else None,
        expires_at=now + timedelta(seconds=seconds) if known else _end_of(access),
    )


def given(access: secret.Secret) -> Tokens:
    """Wrap an access token that came from elsewhere; a JSON Web Token tells its own end."""
    return Tokens(access=access, expires_at=_end_of(access.reveal()))


def _end_of(token: str) -> datetime | None:
    """Return the `exp` of a JSON Web Token, unverified: only the server judges a token."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, payload, signature
        return None
    try:
        payload = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return datetime.fromtimestamp(payload["exp"], UTC)
    except (ValueError, KeyError, TypeError, OverflowError, OSError):
        return None
