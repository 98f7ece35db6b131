"""What the local stack does, and how it is."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from medbots.cli import options, render

if TYPE_CHECKING:
    from medbots.local.service import Status
    from medbots.local.supervisor import Event

_WIDTH = 8
"""Of the longest name of a service."""
_MEGA = 1_000_000


def narrator() -> Callable[[Event], None]:
    """Return what takes the supervisor's events and says those worth a line."""

    def say(event: Event) -> None:
        said = _sentence(event)
        if said:
            render.note(f"{event.service:<{_WIDTH}}  {said}")

    return say


def _sentence(event: Event) -> str:
    match event.what:
        case "running":
            return f"runs already        {event.detail}"
        case "healthy":
            return f"healthy in {event.seconds:4.1f} s    {event.detail}"
        case "waiting":
            return f"still starting, {event.seconds:.0f} s"
        case "stopped":
            return "stopped"
        case "note":
            return event.detail
        case _:
            return ""


def is_up(opts: options.Options, services: Sequence[Status], profile: str) -> None:
    """Say that the stack is up, and how it is used."""
    if opts.json:
        status(opts, services)
    else:
        render.note(f"profile {profile!r} reaches it: medbots --profile {profile} deploy")


def status(opts: options.Options, services: Sequence[Status]) -> None:
    """Print how each service is."""
    if opts.json:
        render.json({"services": [one.document() for one in services]})
        return
    if not services:
        render.note("there is no local stack yet: medbots local up")
        return
    rows = [[one.name, _state(one), one.url, str(one.pid or "")] for one in services]
    render.table(opts, ("service", "state", "url", "pid"), rows)


def _state(one: Status) -> str:
    if one.pid is None:
        return "stopped"
    return "healthy" if one.healthy else "unhealthy"


def exports(profile: Mapping[str, str]) -> None:
    """Print the settings as a POSIX shell takes them."""
    for name, value in sorted(profile.items()):
        render.line(f"export {name}={shlex.quote(value)}")


def log_lines(
    opts: options.Options, lines: Iterable[tuple[str, str]], *, follow: bool = False
) -> None:
    """Print log lines, each with its service; as JSON one document, or a line each to follow."""
    if opts.json and not follow:
        render.json({"lines": [{"service": name, "line": line} for name, line in lines]})
        return
    for name, line in lines:
        if opts.json:
            render.json({"service": name, "line": line})
        else:
            render.line(f"{name:<{_WIDTH}}  {line}")


def megabytes(size: int) -> str:
    """Return a size as a person reads it."""
    return f"{size / _MEGA:.1f} MB"
