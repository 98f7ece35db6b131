"""What the server holds beside what the embedding store holds: words that both sides share."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

TYPES = (
    "Condition",
    "DiagnosticReport",
    "DocumentReference",
    "MedicationStatement",
    "Observation",
)
"""The resource types that are embedded."""
CONTENT = ("structured", "note")
"""What a chunk was made of: coded fields, or somebody's own words."""


class Standing(enum.StrEnum):
    """How the store stands to a version that the server holds."""

    EMBEDDED = "embedded"
    """Its rows are whole and of this version."""
    WITHHELD = "withheld"
    """It must not be found: a tombstone marks this very version."""
    MISSING = "missing"
    STALE = "stale"
    """Its rows are of another version, or not whole."""
    BLOCKED = "blocked"
    """Missing, and the store takes it for gone since: no event can bring it back."""
    AHEAD = "ahead"
    """The store has a later version: one that was just made, or one that the server has lost."""


@dataclass(frozen=True, slots=True)
class Version:
    """The current version of a resource."""

    id: str
    """A UUID in lower case."""
    version: str
    """`meta.versionId`"""
    updated: dt.datetime
    """`meta.lastUpdated`"""


@dataclass(frozen=True, slots=True)
class Text:
    """The text of one version, cut as it is embedded."""

    version: Version
    patient: str | None
    """Id of the Patient whom it is about."""
    chunks: tuple[tuple[str, str, str], ...]
    """Content type, section and text of each; none where the resource must not be found."""
    hash: str | None
    """Over the chunks and the model version; None without chunks."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A text with one vector a chunk."""

    text: Text
    vectors: tuple[Sequence[float], ...]


@dataclass(slots=True)
class Tally:
    """The counts of one resource type."""

    resources: int = 0
    """On the server."""
    embedded: int = 0
    missing: int = 0
    stale: int = 0
    orphaned: int = 0
    """In the store, and no longer on the server."""
    failed: int = 0
    """Of the missing and stale ones, those that a bot has tried in vain."""
    withheld: int = 0
    """On the server, and rightly without rows."""

    @property
    def difference(self) -> int:
        """What a reconciliation has to do."""
        return self.missing + self.stale + self.orphaned

    def take(self, standings: Iterable[Standing]) -> None:
        """Count resources of the server."""
        for standing in standings:
            self.resources += 1
            name = _COUNTED.get(standing, standing.value)
            setattr(self, name, getattr(self, name) + 1)

    def add(self, other: Tally) -> None:
        """Add the counts of another one."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))

    def document(self) -> dict[str, int]:
        """Return it as JSON, as the contract orders it."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Tally:
        """Return what `document` gave."""
        return cls(**{one.name: int(document.get(one.name, 0)) for one in fields(cls)})


_COUNTED = {Standing.BLOCKED: "missing", Standing.AHEAD: "stale"}

Tallies = dict[str, Tally]
"""By resource type."""


def difference(tallies: Mapping[str, Tally]) -> int:
    """Return what a reconciliation has to do over all types."""
    return sum(one.difference for one in tallies.values())


@dataclass(slots=True)
class Inventory:
    """The whole picture."""

    types: Tallies = field(default_factory=dict)
    models: list[tuple[str, int]] = field(default_factory=list)
    """Model versions with their rows, the most first."""

    def document(self) -> dict[str, Any]:
        """Return the contract's JSON."""
        return {
            "types": [{"type": name, **one.document()} for name, one in self.types.items()],
            "models": [{"model": name, "rows": rows} for name, rows in self.models],
        }
