"""Whose fault a failed embedding is: the record's own, or of what every record goes through."""

from __future__ import annotations

from dataclasses import dataclass, field

MOST_FAILURES = 40
"""Failures in a row after which something is down, and going on is pointless."""
INVALID = "INVALID_INPUT"
"""Also what the Embedding Bot answers of a record that is not there, or that it may not read."""
UNKNOWN = "EMBEDDING_ERROR"
_OWN = frozenset({INVALID, UNKNOWN, "LLM_INVALID_OUTPUT", "PATIENT_NOT_FOUND", "SAFETY_BLOCKED"})
_REFUSED_TEXT = (400, 413, 422)
"""HTTP statuses by which a router that works refuses a text: too long, too large, or not its form.
Of a key (401, 403) or an alias (404) it would refuse every text."""


def own(code: str, status: object = None) -> bool:
    """Return whether the record itself is at fault, so that the next one may well be embedded.

    Args:
        code: the bots' error code. Without a model, a database or a setting that holds for all
            records, no other record would do better.
        status: HTTP status of the model router, where the failure names one.
    """
    return code in _OWN or (code == "LLM_ROUTER_ERROR" and status in _REFUSED_TEXT)


@dataclass(slots=True)
class Outcome:
    """What became of some resources that were to be embedded."""

    done: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """An error code by id."""
    down: list[str] = field(default_factory=list)
    """Ids of the failed ones that are not at fault themselves."""

    def fail(self, resource_id: str, code: str, *, own: bool) -> None:
        """Note a failure, and whether the record itself is at fault."""
        self.failed[resource_id] = code
        if not own:
            self.down.append(resource_id)


@dataclass(slots=True)
class Streak:
    """Failures in a row, by which one tells that something is down.

    A record's own fault says nothing of it: so many bad records in a row would otherwise end every
    run at the same page.
    """

    length: int = 0
    codes: set[str] = field(default_factory=set)

    @property
    def over(self) -> bool:
        """Whether there is no sense in going on."""
        return self.length >= MOST_FAILURES

    def count(self, outcome: Outcome) -> None:
        """Count one more outcome; any success begins anew."""
        if outcome.done:
            self.length, self.codes = 0, set()
            return
        self.length += len(outcome.down)
        self.codes |= {outcome.failed[one] for one in outcome.down}
