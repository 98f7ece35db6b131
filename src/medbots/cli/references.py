"""Ids on the command line: bare, or as `Type/id`.

What is not given stays None. What is given and empty is an error: a variable of a script that was
never set must not turn a question about one patient into one about all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from medbots import errors, inventory

_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_COMMAND = re.compile(r"[\w.:|-]{1,128}")


def reference(flag: str, text: str | None, kind: str, *, others: bool = False) -> str | None:
    """Return what was given for `flag` as `Type/id`.

    Args:
        flag: as it stands on the command line.
        text: the id, bare or with its type.
        kind: the type of a bare id.
        others: whether another type may be given with the id.

    Raises:
        errors.UsageError: it is no id, or one of another type.
    """
    if text is None:
        return None
    given, separator, name = text.strip().rpartition("/")
    named = given if separator else kind
    if _ID.fullmatch(name) and (named == kind or (others and named.isalpha())):
        return f"{named}/{name}"
    like = f"{flag} ID, or {flag} {kind}/ID" if flag.startswith("--") else f"ID, or {kind}/ID"
    raise errors.UsageError(f"{flag} {text!r} is no id of a {kind}", hint=like)


def identifier(flag: str, text: str | None, kind: str) -> str | None:
    """Return the id alone in what was given for `flag`.

    Raises:
        errors.UsageError: it is no id, or one of another type.
    """
    found = reference(flag, text, kind)
    return None if found is None else found.partition("/")[2]


def required(name: str, text: str, kind: str) -> str:
    """Return the id alone in an argument.

    Raises:
        errors.UsageError: it is no id, or one of another type.
    """
    return identifier(name, text, kind) or ""


def command(flag: str, text: str | None) -> str | None:
    """Return the id of a command that was given for `flag`.

    Raises:
        errors.UsageError: it is none.
    """
    if text is None or _COMMAND.fullmatch(text.strip()):
        return text and text.strip()
    raise errors.UsageError(f"{flag} {text!r} is no id of a command")


def one_of(flag: str, text: str | None, known: Sequence[str], of: str) -> str | None:
    """Return what was given for `flag`, which must be one of `known`.

    Args:
        flag: as it stands on the command line.
        text: what was given; None where nothing was.
        known: what may be.
        of: what anything else is, in words.

    Raises:
        errors.UsageError: it is none of them; names them.
    """
    if text is None or text.strip() in known:
        return text and text.strip()
    near = {one.lower(): one for one in known}.get(text.strip().lower())
    meant = f"did you mean {near}? " if near else ""
    raise errors.UsageError(f"{flag} {text!r} {of}", hint=f"{meant}{flag} takes {', '.join(known)}")


def embedded(flag: str, values: list[str] | None) -> list[str] | None:
    """Return the resource types that were given for `flag`, as `several` does.

    Raises:
        errors.UsageError: it names nothing, or a type of which no records are embedded.
    """
    named = several(flag, values)
    for one in named or ():
        one_of(flag, one, inventory.TYPES, "is no type of which records are embedded")
    return named


def several(flag: str, values: list[str] | None) -> list[str] | None:
    """Return the values of an option that can be repeated, and that takes several by commas.

    Raises:
        errors.UsageError: it is given, and names nothing.
    """
    if values is None:
        return None
    found = [one.strip() for part in values for one in part.split(",") if one.strip()]
    if not found:
        raise errors.UsageError(f"{flag} names nothing")
    return found
