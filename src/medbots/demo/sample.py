"""The sample: synthetic patients with their records, in a file that ships with the package."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

Resource = dict[str, Any]

SYSTEM = "urn:medbots:sample"
"""System of the identifier and the tag that every resource of the sample carries."""

EMBEDDED = (
    "DiagnosticReport",
    "DocumentReference",
    "Observation",
    "Condition",
    "MedicationStatement",
)
"""The types whose records get vectors."""

VISIT = (
    "Patient/53dc4142-ac41-5980-8063-fd7e33554364",
    "Encounter/4a18bb66-ae60-5d4f-900e-a00bdbf26590",
)
"""A patient and a visit that is under way, written by hand: what the demo follows to its end."""

_FILES = ("resources.ndjson", "visit.ndjson")
"""Generated patients, and the one of the visit."""
_NOT_EMBEDDED = ("entered-in-error", "cancelled")


def resources() -> list[Resource]:
    """Return a copy of every resource; its id is the value of its own identifier too."""
    return copy.deepcopy(list(_read()))


def reference(resource: Mapping[str, Any]) -> str:
    """Return what other resources of the sample call this one, such as `Patient/<id>`."""
    return f"{resource['resourceType']}/{resource['id']}"


def is_embedded(resource: Mapping[str, Any]) -> bool:
    """Return whether the Embedding Bot makes vectors of such a resource."""
    return resource["resourceType"] in EMBEDDED and resource.get("status") not in _NOT_EMBEDDED


def levels(resources: Iterable[Resource]) -> list[list[Resource]]:
    """Return the resources in groups: each refers to none but those of groups before it.

    Raises:
        ValueError: they refer to each other in a circle.
    """
    waiting = {reference(one): one for one in resources}
    needs = {name: set(references(one)) & waiting.keys() for name, one in waiting.items()}
    groups = []
    while waiting:
        ready = [name for name in waiting if not needs[name] & waiting.keys()]
        if not ready:
            raise ValueError(f"a circle of references: {', '.join(sorted(waiting)[:3])}, …")
        groups.append([waiting.pop(name) for name in ready])
    return groups


def references(value: Any) -> Iterator[str]:
    """Yield every reference inside a resource."""
    if isinstance(value, list):
        for part in value:
            yield from references(part)
    elif isinstance(value, dict):
        target = value.get("reference")
        if isinstance(target, str):
            yield target
        for part in value.values():
            yield from references(part)


def relinked(value: Any, names: Mapping[str, str]) -> Any:
    """Return a resource whose references say what `names` calls their targets."""
    if isinstance(value, list):
        return [relinked(part, names) for part in value]
    if not isinstance(value, dict):
        return value
    return {
        key: names.get(part, part)
        if key == "reference" and isinstance(part, str)
        else relinked(part, names)
        for key, part in value.items()
    }


@functools.cache
def _read() -> tuple[Resource, ...]:
    folder = Path(__file__).parent / "sample"
    texts = [(folder / name).read_text(encoding="utf-8") for name in _FILES]
    return tuple(json.loads(line) for text in texts for line in text.splitlines())
