"""What a Medplum server knows of FHIR R4: resource types, their elements and search parameters."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TABLE = Path(__file__).with_name("fhir_r4.json")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A search parameter of one resource type."""

    kind: str
    """FHIR's search parameter type: token, reference, date, string, uri, number, quantity, …"""
    targets: tuple[str, ...] = ()
    """Types that a reference may name; empty: any."""
    codes: tuple[str, ...] = ()
    """All that a token over a plain code can be; empty: not known, or open."""


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A resource type."""

    elements: frozenset[str]
    """Names of its own elements; a choice such as `value[x]` stands as each of its names."""
    search: Mapping[str, Parameter]


@functools.cache
def resource_types() -> Mapping[str, ResourceType]:
    """Return every resource type by name. The file names its source and version."""
    document = json.loads(_TABLE.read_text(encoding="utf-8"))
    return {
        name: ResourceType(
            frozenset(entry["elements"]),
            {code: _parameter(text) for code, text in entry["search"].items()},
        )
        for name, entry in document["types"].items()
    }


def _parameter(text: str) -> Parameter:
    kind, equals, codes = text.partition("=")
    if equals:
        return Parameter(kind, codes=tuple(codes.split(",")))
    kind, _, targets = text.partition(":")
    return Parameter(kind, tuple(targets.split(",")) if targets else ())
