"""What a change of the embedding model finds before it begins, and what it did, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medbots.database.changeover import Outlook
    from medbots.database.step import Step, Wish
    from medbots.embeddings.contract import Contract
    from medbots.embeddings.reembed import Done
    from medbots.embeddings.refill import Tally
    from medbots.reembedding import Behind


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen before anything is done."""

    wish: Wish
    outlook: Outlook
    old: Contract
    """By which the bots work now."""
    new: Contract
    todo: tuple[Behind, ...]
    requests: int

    @property
    def nothing(self) -> bool:
        """Whether the bots work by the new model, and nothing is missing."""
        settled = not (self.outlook.switches or self.outlook.indexes)
        return settled and not self.todo and self.old == self.new

    @property
    def work(self) -> str:
        """How much is to be embedded: it costs time and money."""
        chunks = sum(one.chunks for one in self.todo)
        records, requests = _count(len(self.todo), "record"), _count(self.requests, "request")
        return f"{_count(chunks, 'chunk')} of {records}, in about {requests}"

    @property
    def extent(self) -> str:
        """What is to be agreed to."""
        moving = f"then move the bots to it from {self.old.version}"
        if self.old == self.new:
            moving = "by which the bots work already"
        return f"embed {self.work} to the router, by {self.new.version}, {moving}"


def said(tally: Tally, requests: int) -> str:
    """Return what was embedded."""
    done = f"{_count(tally.chunks, 'chunk')} of {_count(tally.resources, 'record')} embedded"
    return f"{done}, in {_count(requests, 'request')}; {tally.refreshed:,} had their text already"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def steps(sight: Sight, done: Done, work: str) -> list[Step]:
    """Return what a stage did, in the words of `db init`."""
    from medbots.database import generations
    from medbots.database.step import Action, Step
    from medbots.embeddings.reembed import Stage

    target, model = sight.outlook.target, sight.new.version
    action = Action.CREATE if done.changed else Action.UNCHANGED
    match done.stage:
        case Stage.TABLE:
            return [Step("table", target, action, warnings=sight.outlook.warnings)]
        case Stage.ROWS:
            return [Step("rows", model, action, (work,))]
        case Stage.INDEX:
            return [Step("index", model, action)]
        case Stage.SWITCH if done.changed:
            said = (
                f"holds vectors of {sight.new.dimension} dimensions now; the former table is "
                f"{generations.PREVIOUS}"
            )
            return [Step("table", generations.CURRENT, Action.UPDATE, (said,))]
        case Stage.SECRETS:
            before, after = sight.old.secrets(), sight.new.secrets()
            return [
                Step("secret", name, Action.UPDATE, (f"{before[name]} → {value}",))
                if before[name] != value
                else Step("secret", name, Action.UNCHANGED)
                for name, value in after.items()
            ]
        case Stage.LATE if done.changed:
            return [Step("rows", model, Action.UPDATE, ("what was written meanwhile",))]
    return []
