"""What those who make an answer tell one another: its place, its ground, the manner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from medbots.local.model_server import body, passages


class UnfillableError(body.RequestError):
    """No value can be as the schema asks."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"'response_format': this stand-in finds no value for {name or 'the answer'!r} that "
            "conforms to the schema",
            "response_format",
        )


class Filled(NamedTuple):
    """A value that conforms."""

    value: Any
    grounded: bool
    """Whether it stands on a source; a value that does not is left out where it may be."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a part of the answer stands on."""

    passages: tuple[passages.Passage, ...] = ()
    code: str | None = None
    """What was found in the passages, and made this part be there at all."""
    is_item: bool = False
    """Whether it is one item's of a list: the lists in it have these passages and no others."""


@dataclass(frozen=True, slots=True)
class Place:
    """One value of the answer."""

    name: str = ""
    """Of the property; the items of a list have the list's."""
    ground: Ground = field(default_factory=Ground)
    is_label: bool = False
    """Whether it names what a later text of the same object tells."""
    shares: Mapping[str, tuple[passages.Passage, ...]] = field(default_factory=dict)
    """Which passages each of the lists beside one another gets."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How an answer is made. The defaults are the honest way."""

    eager: bool = False
    """Take what is there, near the question or not."""
    invents: bool = False
    """Make codes up that stand in no source."""
    everywhere: bool = False
    """Give every list all passages."""
