"""JSON that is given on the command line: in a file, on stdin, or field by field."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from medbots import errors

STDIN = "-"


def body(file: str | None, fields: Sequence[str]) -> Any:
    """Return the input of a bot: what the file holds, with the fields set in it.

    Args:
        file: its path; `-` is stdin; None is an empty object.
        fields: each `name=value`.

    Raises:
        errors.UsageError: no such file, no JSON, or a field that is none.
    """
    document = {} if file is None else read("--input", file)
    named = dict(_field(one) for one in fields)
    if len(named) < len(fields):
        raise errors.UsageError("--field: a name is given twice", hint="--field 'ids=[1, 2]'")
    if not named:
        return document
    if not isinstance(document, dict):
        raise errors.UsageError("--field sets a member of a JSON object, and --input holds none")
    return {**document, **named}


def read(flag: str, file: str) -> Any:
    """Return the JSON of a file; `-` is stdin.

    Raises:
        errors.UsageError: it cannot be read, or is no JSON; says where.
    """
    name = "stdin" if file == STDIN else file
    if file == STDIN and sys.stdin is None:
        raise errors.UsageError(f"{flag}: stdin is closed")
    try:
        text = sys.stdin.read() if file == STDIN else Path(file).read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise errors.UsageError(f"{flag}: {name}: {exc.strerror or 'cannot be read'}") from exc
    except ValueError as exc:
        raise errors.UsageError(f"{flag}: {name} is no UTF-8 text") from exc
    try:
        return parse(text)
    except json.JSONDecodeError as exc:
        raise errors.UsageError(
            f"{flag}: {name}:{exc.lineno}:{exc.colno}: no JSON: {exc.msg.lower()}"
        ) from exc
    except (ValueError, RecursionError) as exc:
        said = "nested too deeply" if isinstance(exc, RecursionError) else exc
        raise errors.UsageError(f"{flag}: {name}: no JSON: {said}") from exc


def members(flag: str, file: str) -> dict[str, Any]:
    """Return the JSON object of a file, which must have members; `-` is stdin.

    Raises:
        errors.UsageError: it cannot be read, or is something else.
    """
    found = read(flag, file)
    if isinstance(found, dict) and found:
        return found
    raise errors.UsageError(f"{flag}: {file}: a JSON object with members is wanted")


def parse(text: str) -> Any:
    """Return the value of a JSON text, which has no NaN and no Infinity.

    Raises:
        ValueError: it is none.
        RecursionError: it is nested too deeply.
    """
    return json.loads(text, parse_constant=_refuse)


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _field(given: str) -> tuple[str, Any]:
    """Return name and value; a value that is no JSON is text."""
    name, separator, value = given.partition("=")
    if not separator or not name.strip():
        raise errors.UsageError(
            f"--field {given.partition('=')[0]!r}: give it as name=value", hint="--field limit=5"
        )
    try:
        return name.strip(), parse(value)
    except (ValueError, RecursionError):
        return name.strip(), value
