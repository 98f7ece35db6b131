"""Where a client's tokens come from, and where new ones come from when they end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from medbots import config, errors, secret
from medbots.medplum import http as http_module
from medbots.medplum import lock, login, oauth
from medbots.medplum import sessions as sessions_module
from medbots.medplum import tokens as tokens_module


class Source(Protocol):
    """One way to be logged in."""

    async def obtain(self, http: http_module.Http) -> tokens_module.Tokens:
        """Return tokens to begin with.

        Raises:
            errors.NotLoggedInError: the credentials are not accepted.
        """
        ...

    async def renew(
        self, http: http_module.Http, refused: tokens_module.Tokens
    ) -> tokens_module.Tokens:
        """Return other tokens than those that have ended or were refused.

        Raises:
            errors.NotLoggedInError: there are none to be had.
        """
        ...


@dataclass(frozen=True, slots=True)
class GivenToken:
    """An access token from elsewhere."""

    access: secret.Secret
    origin: str

    async def obtain(self, http: http_module.Http) -> tokens_module.Tokens:
        """Return it."""
        del http
        return tokens_module.given(self.access)

    async def renew(
        self, http: http_module.Http, refused: tokens_module.Tokens
    ) -> tokens_module.Tokens:
        """Say that there is no other one."""
        del refused
        raise errors.NotLoggedInError(
            f"{http.base_url} does not accept the access token ({self.origin}), or it has ended",
            hint="set MEDPLUM_ACCESS_TOKEN to a current one, or unset it and use medbots login",
        )


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """A ClientApplication; a new token is a new grant."""

    client_id: str
    client_secret: secret.Secret
    origin: str = ""
    """Where the two are stored; empty: somebody has just given them."""

    async def obtain(self, http: http_module.Http) -> tokens_module.Tokens:
        """Log in."""
        try:
            return await oauth.with_client(http, self.client_id, self.client_secret)
        except errors.NotLoggedInError as exc:
            told = f" ({self.origin})" if self.origin else ""
            raise errors.NotLoggedInError(f"{exc.message}{told}", hint=exc.hint) from exc

    async def renew(
        self, http: http_module.Http, refused: tokens_module.Tokens
    ) -> tokens_module.Tokens:
        """Log in again."""
        del refused
        return await self.obtain(http)


@dataclass(frozen=True, slots=True)
class UserPassword:
    """A user whose password is at hand: refreshed where that is possible, else logged in again."""

    user: login.Password
    prompts: login.Prompts

    async def obtain(self, http: http_module.Http) -> tokens_module.Tokens:
        """Log in."""
        return await login.with_password(http, self.user, self.prompts)

    async def renew(
        self, http: http_module.Http, refused: tokens_module.Tokens
    ) -> tokens_module.Tokens:
        """Refresh, or log in again."""
        if refused.refresh is not None:
            try:
                return await oauth.refresh(http, refused.refresh)
            except errors.NotLoggedInError:
                pass
        return await self.obtain(http)


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A login of an earlier command, kept up to date in its file."""

    sessions: sessions_module.Sessions
    settings: config.Settings

    async def obtain(self, http: http_module.Http) -> tokens_module.Tokens:
        """Return the stored tokens, renewed if they are about to end."""
        found = self._read(http).tokens
        return await self.renew(http, found) if found.stale(datetime.now(UTC)) else found

    async def renew(
        self, http: http_module.Http, refused: tokens_module.Tokens
    ) -> tokens_module.Tokens:
        """Refresh under the session's lock; another process may have done so meanwhile."""
        async with lock.exclusive(self.sessions.lock_file(self.settings.profile)):
            session = self._read(http)
            if session.tokens.access != refused.access:
                return session.tokens
            if session.tokens.refresh is None:
                raise errors.NotLoggedInError(
                    f"the session of {session.user} at {session.base_url} has ended",
                    hint=f"{login_command(self.settings)}; a client, or a super admin, gets a "
                    "session of an hour that cannot be prolonged",
                )
            # The old refresh token dies with the renewal: be sure first that the new one can be
            # kept.
            self.sessions.store(self.settings.profile, session)
            renewed = await oauth.refresh(http, session.tokens.refresh)
            if renewed.refresh is None:
                renewed = replace(renewed, refresh=session.tokens.refresh)
            self.sessions.store(self.settings.profile, replace(session, tokens=renewed))
            return renewed

    def _read(self, http: http_module.Http) -> sessions_module.Session:
        session = self.sessions.session(self.settings.profile)
        if session is None or session.base_url != http.base_url:
            raise not_logged_in(self.settings, session)
        return session


def source(
    settings: config.Settings, sessions: sessions_module.Sessions, prompts: login.Prompts
) -> Source:
    """Return what the settings hold: token, else client, else user, else the stored session."""
    match given(settings):
        case "access_token" if settings.access_token:
            return GivenToken(settings.access_token, settings.origin("access_token"))
        case "client_id" if settings.client_id and settings.client_secret:
            stored = (settings.stored("client_id"), settings.stored("client_secret"))
            origin = ", ".join(dict.fromkeys(filter(None, stored)))
            return ClientCredentials(settings.client_id, settings.client_secret, origin)
        case "email" if settings.email and settings.password:
            user = login.Password(
                settings.email,
                settings.password,
                settings.project,
                email_from=settings.stored("email"),
                password_from=settings.stored("password"),
            )
            return UserPassword(user, prompts)
    return StoredSession(sessions, settings)


def given(settings: config.Settings) -> str | None:
    """Return the setting that begins the credentials in use; None: only a session can serve."""
    if settings.access_token:
        return "access_token"
    if settings.client_id and settings.client_secret:
        return "client_id"
    return "email" if settings.email and settings.password else None


def login_command(settings: config.Settings) -> str:
    """Return the command that stores a session where these settings look for it."""
    named = settings.profile != config.DEFAULT_PROFILE
    return f"medbots --profile {settings.profile} login" if named else "medbots login"


def not_logged_in(
    settings: config.Settings, other: sessions_module.Session | None
) -> errors.NotLoggedInError:
    """Say what is missing, and what is there instead."""
    said = f"not logged in to {settings.base_url} ({settings.origin('base_url')})"
    if other is not None:
        said += f"; the session of profile {settings.profile!r} is for {other.base_url}"
    instead = "set MEDPLUM_CLIENT_ID and MEDPLUM_CLIENT_SECRET"
    for one, needed in (("client_id", "client_secret"), ("email", "password")):
        if bool(getattr(settings, one)) != bool(getattr(settings, needed)):
            there, missing = (one, needed) if getattr(settings, one) else (needed, one)
            variables = config.VARIABLES
            said += f"; {variables[there]} is set but {variables[missing]} is not"
            instead = f"set {variables[missing]} too"
    return errors.NotLoggedInError(said, hint=f"{login_command(settings)}, or {instead}")
