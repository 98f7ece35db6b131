"""`profile list`, `show`, `use` and `remove`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medbots import config, errors, secret
from medbots.cli import options, render, wiring

if TYPE_CHECKING:
    from medbots.medplum.sessions import Session, Sessions

noun = typer.Typer(
    cls=options.Group,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Named sets of settings, one server each.",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the profile.")]


def register(app: typer.Typer) -> None:
    """Add the noun to the tree."""
    app.add_typer(noun, name="profile")


@noun.command("list", cls=options.Command)
def list_(ctx: typer.Context) -> None:
    """List the profiles, and who is logged in by each."""
    opts = options.of(ctx)
    sessions = wiring.sessions()
    rows = [_row(sessions, name) for name in sessions.profiles.names()]
    if opts.json:
        render.json(rows)
        return
    shown = [["*" if row["active"] else "", row["name"], *_texts(row)] for row in rows]
    render.table(opts, ("", "profile", "server", "user", "project"), shown)


@noun.command("show", cls=options.Command)
def show(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Else the active one.")
    ] = None,
) -> None:
    """Show a profile's settings and session; secrets stay hidden."""
    opts = options.of(ctx)
    sessions = wiring.sessions()
    values = sessions.profile(name or opts.profile)
    name = values[config.PROFILE]
    settings = {
        key: _shown(key, value) for key, value in sorted(values.items()) if key != config.PROFILE
    }
    document = {**_row(sessions, name), "settings": settings}
    if opts.json:
        render.json(document)
        return
    render.line(f"{name}{' (active)' if document['active'] else ''}")
    for key, value in settings.items():
        render.line(f"  {key}={value}")
    render.line(f"  session: {_described(document['session'])}")


@noun.command("use", cls=options.Command)
def use(ctx: typer.Context, name: Name) -> None:
    """Use a profile wherever no --profile is given."""
    wiring.sessions().profiles.activate(name)
    _confirm(ctx, {"profile": name, "active": True}, f"profile {name} is in use")


@noun.command("remove", cls=options.Command)
def remove(ctx: typer.Context, name: Name) -> None:
    """Delete a profile with its stored session; `logout` also ends it on the server."""
    sessions = wiring.sessions()
    sessions.profiles.remove(name)
    sessions.forget(name)
    _confirm(ctx, {"profile": name, "removed": True}, f"profile {name} is removed")


def _confirm(ctx: typer.Context, document: Mapping[str, Any], said: str) -> None:
    if options.of(ctx).json:
        render.json(document)
    else:
        render.note(said)


def _row(sessions: Sessions, name: str) -> dict[str, Any]:
    try:
        values = sessions.profile(name)
    except errors.UsageError as error:
        render.note(error.message)
        values = {}
    return {
        "name": name,
        "active": name == sessions.profiles.active,
        "baseUrl": values.get(config.VARIABLES["base_url"]),
        "session": _session(sessions, name),
    }


def _session(sessions: Sessions, name: str) -> dict[str, Any] | None:
    try:
        session: Session | None = sessions.session(name)
    except errors.NotLoggedInError as error:
        render.note(error.message)
        return None
    if session is None:
        return None
    end = session.tokens.expires_at
    return {
        "baseUrl": session.base_url,
        "project": {"id": session.project.id, "name": session.project.name},
        "user": session.user,
        "expiresAt": end.isoformat(timespec="seconds") if end else None,
        "refreshable": session.tokens.refresh is not None,
    }


def _texts(row: Mapping[str, Any]) -> tuple[str, str, str]:
    session = row["session"] or {"user": "", "project": {"name": ""}}
    return row["baseUrl"] or "", session["user"], session["project"]["name"]


def _described(session: Mapping[str, Any] | None) -> str:
    if session is None:
        return "none"
    kept = "prolonged when used" if session["refreshable"] else "cannot be prolonged"
    where = f"{session['project']['name']} at {session['baseUrl']}"
    return f"{session['user']} in {where}, until {session['expiresAt']} ({kept})"


def _shown(variable: str, value: str) -> str:
    """Return a value as it may be seen: of a database its address, of a secret nothing."""
    setting = next((name for name, own in config.VARIABLES.items() if own == variable), None)
    if setting is None or setting in config.SECRETS:
        return secret.redact_url(value) if "://" in value else secret.REDACTED
    return secret.redact(value)
