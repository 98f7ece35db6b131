"""Lengths of time on the command line: `500ms`, `2s`, `5m`, or plain seconds."""

from __future__ import annotations

import re

from medbots import errors

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_SPELLING = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|)")


def seconds(flag: str, text: str) -> float:
    """Return the length of time that was given for `flag`, in seconds.

    Raises:
        errors.UsageError: it is not one.
    """
    match = _SPELLING.fullmatch(text.strip())
    if not match:
        raise errors.UsageError(
            f"{flag} {text!r} is no length of time", hint=f"{flag} 120s, or 2m, or 500ms"
        )
    return float(match.group(1)) * _UNITS[match.group(2)]
