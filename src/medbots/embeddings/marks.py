"""How far a reconciliation is, so that one that was interrupted can be gone on with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from medbots.inventory import Tally, Version

Moment = dt.datetime | None


@dataclass(slots=True)
class Mark:
    """How far a pass over one resource type is."""

    kind: str
    phase: str = "embed"
    """`embed`, then `sweep` (orphans), then `done`."""
    since: dt.datetime | None = None
    """Only what was changed from then on is looked at."""
    position: dt.datetime | None = None
    """Last change of the last resource that was looked at."""
    edge: list[str] = field(default_factory=list)
    """Those that were changed at that very instant, and have been looked at."""
    after: str | None = None
    """The last of the store's resources that was looked at."""
    before: Tally = field(default_factory=Tally)
    """What was found."""
    left: Tally = field(default_factory=Tally)
    """What there is after the repair."""

    def covers(self, version: Version) -> bool:
        """Whether a version has been looked at, which the search for what follows finds again."""
        return version.updated == self.position and version.id in self.edge

    def move(self, page: Sequence[Version]) -> None:
        """Note that a page has been looked at."""
        if not page:
            return
        last = page[-1].updated
        edge = [one.id for one in page if one.updated == last]
        self.edge = [*self.edge, *edge] if last == self.position else edge
        self.position = last

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "phase": self.phase,
            "since": self.since.isoformat() if self.since else None,
            "position": self.position.isoformat() if self.position else None,
            "edge": self.edge,
            "after": self.after,
            "before": self.before.document(),
            "left": self.left.document(),
        }

    @classmethod
    def of(cls, kind: str, document: Mapping[str, Any]) -> Mark:
        """Return what `document` gave."""
        return cls(
            kind,
            document["phase"],
            _moment(document["since"]),
            _moment(document["position"]),
            list(document["edge"]),
            document["after"],
            Tally.of(document["before"]),
            Tally.of(document["left"]),
        )


def _moment(text: str | None) -> Moment:
    return dt.datetime.fromisoformat(text) if text else None


class Checkpoints(Protocol):
    """Where marks outlive the run, each as the JSON of its type."""

    async def load(self, arguments: str) -> tuple[Mapping[str, Mapping[str, Any]], Moment]:
        """Return the marks of an interrupted run with these arguments, and when it last got on."""
        ...

    async def save(self, arguments: str, kind: str, mark: Mapping[str, Any]) -> None:
        """Keep one mark."""
        ...

    async def clear(self) -> None:
        """Forget all."""
        ...
