"""`login`, `logout` and `whoami`."""

from __future__ import annotations

import dataclasses
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medbots import config, errors, secret
from medbots.cli import options, prompts, render, wiring

if TYPE_CHECKING:
    from medbots.medplum.auth import SignedIn
    from medbots.medplum.identity import Identity

_USER = ("email", "password")
_CLIENT = ("client_id", "client_secret")


def register(app: typer.Typer) -> None:
    """Add the verbs to the tree."""
    app.command("login", cls=options.Command)(login)
    app.command("logout", cls=options.Command)(logout)
    app.command("whoami", cls=options.Command)(whoami)


def login(
    ctx: typer.Context,
    email: Annotated[
        str | None, typer.Option("--email", metavar="EMAIL", help="User to log in.")
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from stdin.")
    ] = False,
    project: Annotated[
        str | None,
        typer.Option("--project", metavar="ID|NAME", help="Project, where there are several."),
    ] = None,
    mfa_code: Annotated[
        str | None,
        typer.Option("--mfa-code", metavar="CODE", help="Current code of the authenticator app."),
    ] = None,
    client_id: Annotated[
        str | None,
        typer.Option("--client-id", metavar="ID", help="ClientApplication to log in instead."),
    ] = None,
    client_secret_stdin: Annotated[
        bool, typer.Option("--client-secret-stdin", help="Read the client's secret from stdin.")
    ] = False,
) -> None:
    """Log in, and keep the session for the commands that follow."""
    opts = options.of(ctx)
    flags = {"email": email, "project": project, "client_id": client_id}
    settings = _settings(opts, flags, password=password_stdin, client_secret=client_secret_stdin)
    signed_in = wiring.run(_sign_in(settings, prompts.LoginPrompts(opts, mfa_code)))
    _say_signed_in(opts, settings, signed_in)


def logout(ctx: typer.Context) -> None:
    """End the stored session, here and on the server."""
    opts = options.of(ctx)
    settings = wiring.settings(opts)
    ended = wiring.run(_sign_out(settings))
    if opts.json:
        render.json({"profile": settings.profile, "loggedOut": ended is not None})
    elif ended is None:
        render.note(f"profile {settings.profile} holds no session; nothing to do")
    else:
        render.note(f"logged out of {ended}")


def whoami(ctx: typer.Context) -> None:
    """Show who is logged in, in which project, and with which rights."""
    opts = options.of(ctx)
    document = wiring.run(_whoami(wiring.settings(opts)))
    if opts.json:
        render.json(document)
        return
    rights = [name for name, has in _rights(document).items() if has] or ["member"]
    render.line(f"server   {document['baseUrl']}")
    render.line(f"project  {document['project']['name']} ({document['project']['id']})")
    render.line(f"user     {document['user']}")
    render.line(f"rights   {', '.join(rights)}")
    render.line(f"expires  {document['expiresAt'] or 'unknown'}")


def _rights(document: dict[str, Any]) -> dict[str, bool]:
    return {"project admin": document["admin"], "super admin": document["superAdmin"]}


def _settings(
    opts: options.Options, flags: dict[str, str | None], *, password: bool, client_secret: bool
) -> config.Settings:
    """Return settings that hold one complete way to log in, asking for what is missing.

    What the flags begin is not mixed with another way to log in: a password that is set is left
    out where another user is set beside it.
    """
    as_user, as_client = bool(flags["email"]) or password, bool(flags["client_id"]) or client_secret
    if as_user and as_client:
        raise errors.UsageError("log in as a user or as a client, not as both")
    unwanted = ["access_token"]
    if as_user:
        unwanted += _CLIENT
    if as_client:
        unwanted += _USER
    standing = wiring.settings(opts, new_profile=True)
    for who, hidden in (_USER, _CLIENT):
        if flags[who] and getattr(standing, who) not in (None, flags[who]):
            unwanted.append(hidden)
    settings = wiring.settings(
        opts,
        flags=flags,
        without=[config.VARIABLES[name] for name in unwanted],
        new_profile=True,
    )
    if as_client or (settings.client_id and settings.client_secret):
        return _complete(opts, settings, *_CLIENT, from_stdin=client_secret)
    return _complete(opts, settings, *_USER, from_stdin=password)


def _complete(
    opts: options.Options, settings: config.Settings, name: str, hidden: str, *, from_stdin: bool
) -> config.Settings:
    words, flag = name.replace("_", " ").capitalize(), name.replace("_", "-")
    kept = hidden.replace("_", "-")
    who = getattr(settings, name)
    if not who:
        who = prompts.text(opts, words, f"--{flag} or {config.VARIABLES[name]}")
    value, origins = getattr(settings, hidden), dict(settings.origins)
    if from_stdin or not value:
        origins.pop(hidden, None)
    if from_stdin:
        value = secret.Secret(_stdin(kept))
    elif not value:
        instead = f"--{kept}-stdin, or {config.VARIABLES[name]} and {config.VARIABLES[hidden]}"
        value = secret.Secret(prompts.hidden(opts, hidden.replace("_", " ").capitalize(), instead))
    return dataclasses.replace(settings, **{name: who, hidden: value}, origins=origins)


def _stdin(what: str) -> str:
    text = sys.stdin.read().rstrip("\r\n")
    if not text:
        raise errors.UsageError(
            f"--{what}-stdin: there is nothing on stdin",
            hint=f'printf %s "$SECRET" | medbots login … --{what}-stdin',
        )
    return text


async def _sign_in(settings: config.Settings, asked: prompts.LoginPrompts) -> SignedIn:
    from medbots.medplum import auth

    return await auth.sign_in(settings, wiring.sessions(), prompts=asked)


async def _sign_out(settings: config.Settings) -> str | None:
    from medbots.medplum import auth

    ended = await auth.sign_out(settings, wiring.sessions())
    return ended.base_url if ended else None


async def _whoami(settings: config.Settings) -> dict[str, Any]:
    async with wiring.connected(settings) as client:
        return _document(settings, client.identity, client.expires_at)


def _document(
    settings: config.Settings, who: Identity, expires_at: datetime | None
) -> dict[str, Any]:
    """Return the contract's shape of a login."""
    return {
        "baseUrl": settings.base_url,
        "project": {"id": who.project.id, "name": who.project.name},
        "user": who.user,
        "admin": who.rights.admin,
        "superAdmin": who.rights.super_admin,
        "expiresAt": expires_at.isoformat(timespec="seconds") if expires_at else None,
    }


def _say_signed_in(opts: options.Options, settings: config.Settings, signed_in: SignedIn) -> None:
    who, tokens = signed_in.who, signed_in.tokens
    if opts.json:
        document = _document(settings, who, tokens.expires_at)
        render.json({**document, "profile": settings.profile, "file": str(signed_in.file)})
        return
    render.note(f"logged in to {settings.base_url} as {who.user}, project {who.project.name}")
    end = f"{tokens.expires_at:%Y-%m-%d %H:%M} UTC" if tokens.expires_at else "an unknown time"
    kept = "and is prolonged when it is used" if tokens.refresh else "and cannot be prolonged"
    render.note(f"the session is stored in {signed_in.file}; it lasts until {end}, {kept}")
    if settings.profile != wiring.sessions().profiles.active:
        render.note(f"medbots profile use {settings.profile} makes this profile the one in use")
    _warn_of_precedence(opts)


def _warn_of_precedence(opts: options.Options) -> None:
    """Say so when the next command would not use the session, since other credentials are set."""
    from medbots.medplum import credentials

    later = wiring.settings(opts)
    if name := credentials.given(later):
        variable = config.VARIABLES[name]
        render.note(f"{variable} ({later.origin(name)}) is set and goes before this session")
