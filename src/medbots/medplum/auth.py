"""Logging in: credentials to a client that is known to work in the right project."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import httpx

from medbots import config, errors
from medbots.medplum import client as client_module
from medbots.medplum import credentials, identity, login, oauth, outcome
from medbots.medplum import http as http_module
from medbots.medplum import sessions as sessions_module
from medbots.medplum import tokens as tokens_module


@contextlib.asynccontextmanager
async def connect(
    settings: config.Settings,
    sessions: sessions_module.Sessions,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    prompts: login.Prompts | None = None,
) -> AsyncIterator[client_module.Client]:
    """Log in by whatever the settings hold, and yield the client.

    An access token goes before client credentials, these before e-mail and password, these
    before the stored session. Where a password is set but MFA asks for a code that nobody can
    give, the same user's stored session is used.

    Raises:
        errors.NotLoggedInError: there is no login, or the server does not accept it.
        errors.NotAllowedError: the login works in another project than the settings name.
        errors.UnreachableError: the server cannot be reached, or is no Medplum.
    """
    async with _http(settings, transport) as http:
        source = credentials.source(settings, sessions, prompts or login.Nobody())
        try:
            client = await _client(http, settings, source)
        except login.MfaNeededError:
            session = sessions.session(settings.profile)
            here = (settings.base_url, settings.email)
            if session is None or (session.base_url, session.user) != here:
                raise
            client = await _client(http, settings, credentials.StoredSession(sessions, settings))
        yield client


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A login that was stored."""

    who: identity.Identity
    tokens: tokens_module.Tokens
    file: Path


async def sign_in(
    settings: config.Settings,
    sessions: sessions_module.Sessions,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    prompts: login.Prompts | None = None,
) -> SignedIn:
    """Log in by the credentials in the settings, and store the session in their profile.

    Raises:
        errors.UsageError: the settings hold no credentials.
        errors.MedbotsError: as `connect`; StorageError when the session cannot be stored.
    """
    source = credentials.source(settings, sessions, prompts or login.Nobody())
    if isinstance(source, credentials.StoredSession):
        raise errors.UsageError(
            "there is nothing to log in with",
            hint="medbots login --email ADDRESS --password-stdin, or --client-id and "
            "--client-secret-stdin",
        )
    if isinstance(source, credentials.UserPassword):
        source = replace(source, user=replace(source.user, offline=True))
    async with _http(settings, transport) as http:
        client = await _client(http, settings, source)
        session = sessions_module.Session(
            base_url=settings.base_url,
            user=client.user,
            project=client.project,
            tokens=client.tokens,
        )
        try:
            file = sessions.store(settings.profile, session)
            _remember(settings, sessions, client.identity)
        except errors.StorageError:
            await _give_back(http, source, client.tokens)
            raise
        return SignedIn(client.identity, client.tokens, file)


def _remember(
    settings: config.Settings, sessions: sessions_module.Sessions, who: identity.Identity
) -> None:
    """Point the profile at the server, so that the session is found without further settings.

    What the profile held for another server goes: its credentials are not this one's.
    """
    base_url, project = config.VARIABLES["base_url"], config.VARIABLES["project"]
    values: dict[str, str] = {}
    if settings.profile in sessions.profiles.names():
        values = dict(sessions.profile(settings.profile))
    if values.get(base_url) != settings.base_url:
        values = {base_url: settings.base_url}
    if not who.is_in(values.get(project, who.project.id)):
        values[project] = who.project.id
    sessions.profiles.write(settings.profile, values)


async def sign_out(
    settings: config.Settings,
    sessions: sessions_module.Sessions,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
) -> sessions_module.Session | None:
    """Make the server forget the profile's stored login, then delete it here.

    It is deleted also where the server could not be told. Returns what was stored; None: nothing.

    Raises:
        errors.MedbotsError: the server was not told; the message says how long the token lives.
    """
    try:
        session = sessions.session(settings.profile)
    except errors.NotLoggedInError:
        sessions.forget(settings.profile)
        return None
    if session is None:
        return None
    try:
        async with http_module.Http(
            session.base_url, f"session of profile {settings.profile}", transport=transport
        ) as http:
            await _revoke(http, session.tokens)
    except errors.MedbotsError as exc:
        end = session.tokens.expires_at
        until = f" until {end:%Y-%m-%d %H:%M} UTC" if end else ""
        raise type(exc)(
            f"the session file is deleted, but the server was not told, so its token stays "
            f"valid{until}: {exc.message}",
            hint=exc.hint,
        ) from exc
    finally:
        sessions.forget(settings.profile)
    return session


async def _revoke(http: http_module.Http, tokens: tokens_module.Tokens) -> None:
    """Revoke a login, which takes an access token that is still valid."""
    if tokens.stale(datetime.now(UTC)):
        if tokens.refresh is None:
            return
        try:
            tokens = await oauth.refresh(http, tokens.refresh)
        except errors.NotLoggedInError:
            return
    await oauth.revoke(http, tokens.access)


def _http(
    settings: config.Settings, transport: httpx.AsyncBaseTransport | None
) -> http_module.Http:
    return http_module.Http(settings.base_url, settings.origin("base_url"), transport=transport)


async def _client(
    http: http_module.Http, settings: config.Settings, source: credentials.Source
) -> client_module.Client:
    """Obtain tokens, and ask the server whose they are."""
    tokens = await source.obtain(http)
    answer = await _me(http, tokens)
    if answer.status == 401:  # noqa: PLR2004
        tokens = await source.renew(http, tokens)
        answer = await _me(http, tokens)
    document = answer.document()
    if not answer.ok or outcome.is_error(document):
        raise outcome.error(answer.status, document, answer.request)
    who = identity.of(document)
    if settings.project and not who.is_in(settings.project):
        await _give_back(http, source, tokens)
        raise _elsewhere(settings, source, who)
    return client_module.Client(http, source, tokens, who)


async def _me(http: http_module.Http, tokens: tokens_module.Tokens) -> http_module.Answer:
    headers = {
        "Authorization": f"Bearer {tokens.access.reveal()}",
        "Accept": "application/json",
    }
    return await http.send("GET", "auth/me", headers=headers)


async def _give_back(
    http: http_module.Http, source: credentials.Source, tokens: tokens_module.Tokens
) -> None:
    """End a login that was made a moment ago and turned out to be of no use."""
    if isinstance(source, credentials.UserPassword | credentials.ClientCredentials):
        with contextlib.suppress(errors.MedbotsError):
            await oauth.revoke(http, tokens.access)


def _elsewhere(
    settings: config.Settings, source: credentials.Source, who: identity.Identity
) -> errors.NotAllowedError:
    """Say that the login works in another project than the one that is meant."""
    match source:
        case credentials.StoredSession():
            command = credentials.login_command(settings)
            hint = f"{command} --project {settings.project!r} logs in there"
        case credentials.UserPassword():
            hint = (
                "check its id or name; else an admin of that project invites this user, which a "
                "super admin needs too"
            )
        case _:
            hint = "use a client of that project: a client works in its own project only"
    return errors.NotAllowedError(
        f"{who.user} works in the project {who.project.name!r} ({who.project.id}), not in "
        f"{settings.project!r} ({settings.origin('project')})",
        hint=hint,
    )
