"""The token endpoint: codes, client credentials and refresh tokens become access tokens."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

from medbots import errors, secret
from medbots.medplum import http as http_module
from medbots.medplum import outcome, tokens


async def with_code(http: http_module.Http, code: str, verifier: str) -> tokens.Tokens:
    """Trade the code of a login for tokens, proving who began it (PKCE).

    Raises:
        errors.NotLoggedInError: the server does not accept the code.
    """
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
    answer = await _send_form(http, form)
    if answer.status in (400, 401):
        raise errors.NotLoggedInError(
            f"{http.base_url} broke off the login: {_said(answer)}", hint="medbots login"
        )
    return _granted(answer)


async def with_client(
    http: http_module.Http, client_id: str, client_secret: secret.Secret
) -> tokens.Tokens:
    """Log a ClientApplication in.

    Raises:
        errors.NotLoggedInError: the server does not accept it.
    """
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": client_secret.reveal(),
    }
    answer = await _send_form(http, form)
    if answer.status in (400, 401):
        raise errors.NotLoggedInError(
            f"{http.base_url} does not accept the client {client_id}: {_said(answer)}",
            hint="check MEDPLUM_CLIENT_ID and MEDPLUM_CLIENT_SECRET, and that the client is active",
        )
    return _granted(answer)


async def refresh(http: http_module.Http, token: secret.Secret) -> tokens.Tokens:
    """Trade a refresh token for new tokens, and for the next refresh token.

    Raises:
        errors.NotLoggedInError: it was used, revoked or has ended.
    """
    form = {"grant_type": "refresh_token", "refresh_token": token.reveal()}
    answer = await _send_form(http, form)
    if answer.status in (400, 401, 404, 410):
        raise errors.NotLoggedInError(
            f"the session at {http.base_url} has ended: {_said(answer)}", hint="medbots login"
        )
    return _granted(answer)


async def revoke(http: http_module.Http, access: secret.Secret) -> None:
    """Make the server forget the login that an access token belongs to.

    Raises:
        errors.MedbotsError: it did not; 401 counts as done, since the login has ended then.
    """
    headers = {"Authorization": f"Bearer {access.reveal()}"}
    answer = await http.send("POST", "oauth2/logout", headers=headers)
    if not answer.ok and answer.status != 401:  # noqa: PLR2004
        raise outcome.error(answer.status, answer.document(), answer.request)


def _granted(answer: http_module.Answer) -> tokens.Tokens:
    if not answer.ok:
        raise outcome.error(answer.status, answer.document(), answer.request)
    return tokens.granted(answer.document(), datetime.now(UTC))


def _said(answer: http_module.Answer) -> str:
    return outcome.text(answer.document()) or f"HTTP {answer.status}"


async def _send_form(http: http_module.Http, form: Mapping[str, str]) -> http_module.Answer:
    """Send to the token endpoint, which takes a form and nothing else."""
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    return await http.send(
        "POST", "oauth2/token", headers=headers, content=urlencode(form).encode()
    )
