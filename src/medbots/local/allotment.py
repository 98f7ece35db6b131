"""Which port each service gets: the one a person named, the one it had, the usual or a free one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from medbots import errors
from medbots.local import ports, stackfile


@dataclass(frozen=True, slots=True)
class Moved:
    """A service that could not have its old port again."""

    service: str
    told: str
    """What a person must know of it."""


@dataclass(frozen=True, slots=True)
class Allotment:
    """The ports of all services."""

    ports: Mapping[str, stackfile.Port]
    moved: tuple[Moved, ...] = ()


def ports_for(
    services: Sequence[str],
    remembered: Mapping[str, stackfile.Port],
    wanted: Mapping[str, int],
    usual: Mapping[str, int],
    ours: Collection[int],
) -> Allotment:
    """Return a port for each service; `ours` are those that our own live services listen on.

    Raises:
        errors.LocalStackError: a port that a person named is taken, now or at an earlier start.
    """
    chosen: dict[str, stackfile.Port] = {}
    moved = []
    for name in services:
        before = remembered.get(name)
        if name in wanted:
            chosen[name] = _named(name, wanted[name], ours)
        elif before and (before.number in ours or ports.is_free(before.number)):
            chosen[name] = before
        elif before and before.given:
            chosen[name] = _named(name, before.number, ours)
        else:
            avoid = {port.number for port in chosen.values()} | set(wanted.values())
            chosen[name] = _found(usual.get(name), avoid)
            if before:
                moved.append(Moved(name, _told(before.number, chosen[name].number)))
    numbers = [port.number for port in chosen.values()]
    if twice := [number for number in numbers if numbers.count(number) > 1]:
        raise errors.UsageError(f"port {twice[0]} cannot be given to two services")
    return Allotment(chosen, tuple(moved))


def _named(name: str, port: int, ours: Collection[int]) -> stackfile.Port:
    if port not in ours and not ports.is_free(port):
        raise errors.LocalStackError(
            f"port {port}, wanted for {name}, is taken{_by(port)}",
            hint=f"medbots local up --{name}-port PORT",
        )
    return stackfile.Port(port, given=True)


def _found(usual: int | None, avoid: Collection[int]) -> stackfile.Port:
    if usual is not None and usual not in avoid and ports.is_free(usual):
        return stackfile.Port(usual)
    return stackfile.Port(ports.any_free(avoid))


def _told(before: int, now: int) -> str:
    return (
        f"port {before} is taken{_by(before)}: it is {now} now; "
        "run db init and deploy again, for the project's secrets name the old one"
    )


def _by(port: int) -> str:
    who = ports.holder(port)
    return f" by {who}" if who else ""
