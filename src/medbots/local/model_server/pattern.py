"""The `pattern` of a string: what of a text matches it, and what it asks for at all."""

from __future__ import annotations

import enum
import functools
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from medbots.local.model_server import body, examples

_PROSE = "words of a record"
_CITATION = "S1"
_NO_CITATIONS = ("A1", "11", "S", _PROSE)
_LONGEST = 64
_MOST_WORDS = 4
_PART = re.compile(r"[^\s,;:=|()\[\]{}<>\"'\u201c-\u201e\xab\xbb]+")
_EDGE = ".!?-*#\N{EN DASH}\N{EM DASH}"


class Kind(enum.Enum):
    """What sort of string a pattern asks for."""

    PROSE = enum.auto()
    """Any text, such as `\\S`."""
    WORD = enum.auto()
    """Any word, such as the id of a resource."""
    CODE = enum.auto()
    """Something that few texts hold, such as `^[A-Z]\\d\\d`."""
    CITATION = enum.auto()
    """The id of a source."""


def compiled(pattern: str, where: str = "pattern") -> re.Pattern[str]:
    """Return a pattern of JavaScript's dialect.

    Raises:
        body.RequestError: it is none, or one that Python cannot read.
    """
    try:
        return _compiled(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise body.RequestError(
            f"'{where}' is no pattern that can be read here: {error}", where
        ) from None


@functools.lru_cache(maxsize=500)
def _compiled(pattern: str) -> re.Pattern[str]:
    with warnings.catch_warnings():
        # Python warns of `[[`, which JavaScript takes as it is meant.
        warnings.simplefilter("ignore")
        return re.compile(re.sub(r"\(\?<(?![=!])", "(?P<", pattern), re.ASCII)


def kind(schema: Mapping[str, Any]) -> Kind:
    """Return what sort of string a schema asks for."""
    pattern = schema.get("pattern")
    if pattern is None:
        return Kind.PROSE
    matches = compiled(pattern).search
    if matches(_CITATION) and not any(matches(other) for other in _NO_CITATIONS):
        return Kind.CITATION
    if matches(_PROSE):
        return Kind.PROSE
    return Kind.WORD if matches("word") else Kind.CODE


def driver(schema: Mapping[str, Any]) -> str | None:
    """Return the pattern of the first code that each item of a list must have; None: of none."""
    if "const" in schema or "enum" in schema:
        return None
    if "pattern" in schema and schema.get("type", "string") == "string":
        return schema["pattern"] if kind(schema) is Kind.CODE else None
    properties = schema.get("properties", {})
    required = (properties.get(name, {}) for name in schema.get("required", ()))
    return next((found for one in required if (found := driver(one))), None)


def matches(pattern: str, text: str) -> list[str]:
    """Return the words of a text, up to four in a row, that match; each once, in their order."""
    found = (each for each in _runs(text) if len(each) <= _LONGEST)
    return list(dict.fromkeys(each for each in found if compiled(pattern).search(each)))


def invented(pattern: str, known: str) -> Iterator[str]:
    """Give strings that match and stand nowhere in a known text."""
    made = (*_WELL_SHAPED, *examples.of(pattern))
    for each in dict.fromkeys(made):
        if each not in known and compiled(pattern).search(each):
            yield each


_WELL_SHAPED = (
    *("Z99.999", "Z99.99", "Z98.9", "99999", "98989", "0000F", "G9999", "J9999"),
    *("99999-9", "999999999", "2099-12-31"),
)
"""Shaped like a code of ICD-10-CM, CPT, HCPCS, LOINC, SNOMED CT, or a date."""


def _runs(text: str) -> Iterator[str]:
    """Give single words first, then what several of them make."""
    parts = list(_PART.finditer(text))
    for count in range(1, _MOST_WORDS + 1):
        for first, last in zip(parts, parts[count - 1 :], strict=False):
            run = text[first.start() : last.end()]
            yield run.strip(_EDGE)
