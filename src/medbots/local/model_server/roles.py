"""What a property of an answer is for, as far as its name and its description tell."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from typing import Any

from medbots.local.model_server import pattern


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_CITATION = _set("citation citations cite cites cited source sources ref refs references")
_QUOTE = _set("quote quotes quotation quotations evidence excerpt excerpts snippet verbatim")
_ID = _set("id ids identifier identifiers reference mrn uuid")
_REFERENCE = frozenset({"patient", "subject", "reference"})
_CONFIDENCE = _set("confidence score probability certainty likelihood similarity")
_FOUND = _set("answerable answered found supported documented sufficient grounded relevant")
_NOT_FOUND = _set(
    "unanswerable unanswered refused unsupported undocumented insufficient missing unknown"
)
_WELL = _set("ok healthy up alive")
_SAYS_QUOTE = re.compile(r"\b(?:quot|verbatim|word for word)", re.IGNORECASE)


class Role(enum.Enum):
    """What stands in a string."""

    TEXT = enum.auto()
    CITATION = enum.auto()
    """The id of a source."""
    QUOTE = enum.auto()
    """A source's own words."""
    ID = enum.auto()
    """The id of a record, which no model can know."""
    DATE = enum.auto()


class Verdict(enum.Enum):
    """What a boolean tells."""

    FOUND = enum.auto()
    NOT_FOUND = enum.auto()
    WELL = enum.auto()
    """Of the server itself."""
    OTHER = enum.auto()


def words(name: str) -> tuple[str, ...]:
    """Return the words of a name, in lower case: `patientId` and `patient_id` are the same."""
    return tuple(word.lower() for word in _WORD.findall(name))


def of(name: str, schema: Mapping[str, Any]) -> Role:
    """Return what a string, or each string of a list, is for."""
    known = set(words(name))
    if known & _QUOTE and not known & _ID:
        return Role.QUOTE
    if known & _CITATION or pattern.kind(schema) is pattern.Kind.CITATION:
        return Role.CITATION
    if known & _ID or (len(known) == 1 and known & _REFERENCE):
        return Role.ID
    if _SAYS_QUOTE.search(str(schema.get("description", ""))):
        return Role.QUOTE
    return Role.DATE if "date" in known else Role.TEXT


def wants_reference(name: str) -> bool:
    """Return whether the id is to be written `Type/id`."""
    known = set(words(name))
    return bool(known & _REFERENCE) and not known & {"id", "ids"}


def is_confidence(name: str) -> bool:
    """Return whether a number tells how sure an answer is."""
    return bool(set(words(name)) & _CONFIDENCE)


def verdict(name: str) -> Verdict:
    """Return what a boolean tells."""
    known = set(words(name))
    denied = bool(known & {"not", "no"})
    if known & _NOT_FOUND or (denied and known & _FOUND):
        return Verdict.NOT_FOUND
    if known & _FOUND:
        return Verdict.FOUND
    return Verdict.WELL if known <= _WELL and known else Verdict.OTHER
