"""Tokens: when they end, and what the token endpoint may answer."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from medbots import errors, secret
from medbots.medplum import tokens

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


def web_token(payload: Any) -> str:
    """Return a JSON Web Token with this payload and no signature to speak of."""
    text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return f"e30.{base64.urlsafe_b64encode(text).rstrip(b'=').decode()}.c2ln"


def test_granted() -> None:
    """The answer's tokens and time to live are read."""
    found = tokens.granted({"access_token": "a", "refresh_token": "r", "expires_in": 3600}, NOW)
    assert (found.access.reveal(), found.refresh) == ("a", secret.Secret("r"))
    assert found.expires_at == NOW + timedelta(hours=1)


def test_granted_without_time_looks_into_the_token() -> None:
    """Where the answer does not say, the token itself knows when it ends."""
    end = NOW + timedelta(minutes=5)
    found = tokens.granted({"access_token": web_token({"exp": end.timestamp()})}, NOW)
    assert (found.expires_at, found.refresh) == (end, None)


@pytest.mark.parametrize("answer", [None, [], {}, {"access_token": ""}, {"access_token": 7}])
def test_granted_nothing(answer: Any) -> None:
    """An answer without a token is an error, not an empty login."""
    with pytest.raises(errors.ServerError, match="without an access token"):
        tokens.granted(answer, NOW)


@pytest.mark.parametrize(
    "text",
    ["opaque", "a.b", "a.!!!.c", web_token([1]), web_token({}), web_token({"exp": "soon"}),
     web_token({"exp": 1e300}), web_token(b"\xff")],
)  # fmt: skip
def test_given_token_of_any_shape(text: str) -> None:
    """A token that tells no end is used all the same: only the server judges it."""
    found = tokens.given(secret.Secret(text))
    assert (found.access.reveal(), found.expires_at) == (text, None)


@pytest.mark.parametrize(("seconds", "stale"), [(31, False), (30, True), (0, True), (-9, True)])
def test_stale_a_little_early(seconds: int, *, stale: bool) -> None:
    """A token is renewed before it ends, since the server's clock may be ahead."""
    found = tokens.Tokens(secret.Secret("a"), expires_at=NOW + timedelta(seconds=seconds))
    assert found.stale(NOW) is stale


def test_token_without_end_is_never_stale() -> None:
    """Where the end is not known, the server will say."""
    assert not tokens.Tokens(secret.Secret("a")).stale(NOW)


def test_tokens_do_not_show_themselves() -> None:
    """The repr holds neither token."""
    assert "plant" not in repr(tokens.Tokens(secret.Secret("plant"), secret.Secret("plant")))
