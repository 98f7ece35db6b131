"""Faults on demand: what a model router and a model do on a bad day, said beforehand.

A fault comes by the request header `X-Medbots-Fault: 429; times=2`, by the control endpoint, or
from a scenario file; the last two hold a JSON list such as
`[{"kind": "429", "times": 1, "retryAfter": 1}, {"kind": "slow", "seconds": 3}]`.
They are used up in their order, each `times` times (0: until cleared). A fault waits for a call
that it is meant for and lets the others pass.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

HEADER = "X-Medbots-Fault"


class Endpoint(enum.StrEnum):
    """Which calls a fault is meant for."""

    CHAT = "chat"
    EMBEDDINGS = "embeddings"


class Kind(enum.StrEnum):
    """What goes wrong."""

    SLOW = "slow"
    """The right answer, `seconds` late."""
    TOO_MANY = "429"
    SERVER_ERROR = "500"
    WRONG_DIMENSION = "wrong-dimension"
    """Vectors of `dimension` components."""
    INVALID_BODY = "invalid-body"
    """200 with a page of HTML, as a proxy in front of a dead router sends it."""
    EMPTY = "empty"
    """200 with no vector and no choice in it."""
    INVALID_JSON = "invalid-json"
    """The answer ends in the middle, and nobody says so."""
    CUT = "cut"
    """The same, with the finish reason `length`."""
    PROSE = "prose"
    """The right JSON in a code fence, with friendly words around it."""
    THINK = "think"
    """A thought with a wrong draft in it before the right JSON."""
    UNKNOWN_CITATIONS = "unknown-citations"
    """A source is cited that there is not, and no other."""
    INVENTED_NUMBERS = "invented-numbers"
    """Every number is one that stands in no source."""
    INVENTED_CODES = "invented-codes"
    """Codes that have the right form and stand in no source."""
    OTHER_PATIENT = "other-patient"
    """The answer speaks of the patient `patientId`."""
    OBEY = "obey"
    """The answer is what instructions hidden in the sources order."""
    EXTRA_FIELDS = "extra-fields"
    """Fields that nobody asked for, an approval among them."""
    NO_SCHEMA = "no-schema"
    """400 on `json_schema`, as older routers answer; with `jsonObject` 0 on `json_object` too."""
    REFUSAL = "refusal"
    """No content, but OpenAI's `refusal`."""
    SAY = "say"
    """The answer is `text` to the letter, however long; `{S:words}` in it is the id of a source."""


_EITHER = frozenset({Kind.SLOW, Kind.TOO_MANY, Kind.SERVER_ERROR, Kind.INVALID_BODY, Kind.EMPTY})
_JSON_OBJECT = "json_object"
_JSON_SCHEMA = "json_schema"


@dataclass(frozen=True, slots=True)
class Call:
    """A request, as far as a fault may be meant for it."""

    endpoint: Endpoint
    task: str | None = None
    """Of the header X-Clinic-Task."""
    bot: str | None = None
    """Of the header X-Bot-Name."""
    form: str | None = None
    """Type of the `response_format` of a chat call."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, with what it needs to know."""

    kind: Kind
    times: int = 1
    """How many requests it hits; 0: every one until it is cleared."""
    seconds: float = 1.0
    dimension: int = 1536
    retry_after: float | None = None
    """Sent as `Retry-After` with a 429; None: the header is left out."""
    json_object: bool = True
    """Whether `json_object` is still taken where `json_schema` is not."""
    patient_id: str = "00000000-0000-4000-8000-0123456789ab"
    text: str | None = None
    task: str | None = None
    """The only task it is meant for; None: any. So are `bot` and `endpoint`."""
    bot: str | None = None
    endpoint: Endpoint | None = None

    def document(self) -> dict[str, Any]:
        """Return the fault as the control endpoint takes it."""
        return {
            "kind": self.kind.value,
            "times": self.times,
            "seconds": self.seconds,
            "dimension": self.dimension,
            "retryAfter": self.retry_after,
            "jsonObject": int(self.json_object),
            "patientId": self.patient_id,
            "text": self.text,
            "task": self.task,
            "bot": self.bot,
            "endpoint": self.endpoint and self.endpoint.value,
        }

    def is_meant_for(self, call: Call) -> bool:
        """Return whether it hits a call."""
        if self.kind is Kind.NO_SCHEMA and not self._refuses(call.form):
            return False
        return (
            only_of(self.kind) in (None, call.endpoint)
            and self.endpoint in (None, call.endpoint)
            and self.task in (None, call.task)
            and self.bot in (None, call.bot)
        )

    def _refuses(self, form: str | None) -> bool:
        return form == _JSON_SCHEMA or (form == _JSON_OBJECT and not self.json_object)


class Faults:
    """The faults that are still to come."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._queue: list[Fault] = list(faults)

    def add(self, faults: Iterable[Fault]) -> None:
        """Queue more faults."""
        self._queue.extend(faults)

    def clear(self) -> None:
        """Drop every fault."""
        self._queue.clear()

    def pending(self) -> list[Fault]:
        """Return the faults that are still to come, each with the times that are left."""
        return list(self._queue)

    def take(self, call: Call) -> Fault | None:
        """Return the first fault that is meant for a call, and use it up; the others wait."""
        for index, fault in enumerate(self._queue):
            if fault.is_meant_for(call):
                if fault.times == 1:
                    del self._queue[index]
                elif fault.times > 1:
                    self._queue[index] = replace(fault, times=fault.times - 1)
                return fault
        return None


def only_of(kind: Kind) -> Endpoint | None:
    """Return the only endpoint where a fault of this kind can be; None: either."""
    if kind in _EITHER:
        return None
    return Endpoint.EMBEDDINGS if kind is Kind.WRONG_DIMENSION else Endpoint.CHAT
