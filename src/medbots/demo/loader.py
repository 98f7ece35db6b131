"""Brings the sample into a project, as a project admin may: the server chooses the ids."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from medbots.demo import sample
from medbots.medplum.client import BatchEntry, Client

_ENTRIES = 40
"""Of one batch: few enough that progress is seen."""
_BYTES = 800_000
"""Of one batch; the server takes 1 MB."""


@dataclass(slots=True)
class Loaded:
    """Where the sample lies now."""

    ids: dict[str, str] = field(default_factory=dict)
    """What the sample calls a resource, to what the server calls it: both `Type/id`."""
    created: set[str] = field(default_factory=set)
    """What this run has made, as the server calls it."""


async def load(
    client: Client, resources: Iterable[sample.Resource], advance: Callable[[int], object]
) -> Loaded:
    """Create what the project lacks of the sample; `advance` gets the number after each batch.

    What an earlier run brought is recognised by its identifier and left as it is.

    Raises:
        errors.MedbotsError: the server refuses a resource, or cannot be reached.
    """
    wanted = list(resources)
    loaded = Loaded(await _present(client, wanted))
    advance(len(loaded.ids))
    for level in sample.levels(wanted):
        missing = [one for one in level if sample.reference(one) not in loaded.ids]
        for part in _parts(missing, loaded.ids):
            answers = await client.batch([BatchEntry("POST", entry[1], entry[2]) for entry in part])
            for (name, _, _), answer in zip(part, answers, strict=True):
                made = sample.reference(answer.value())
                loaded.ids[name] = made
                loaded.created.add(made)
            advance(len(part))
    return loaded


async def _present(client: Client, wanted: list[sample.Resource]) -> dict[str, str]:
    """Return what the project has of the sample already."""
    known = {sample.reference(one) for one in wanted}
    found: dict[str, str] = {}
    for kind in dict.fromkeys(one["resourceType"] for one in wanted):
        params = {"_tag": f"{sample.SYSTEM}|sample", "_fields": "identifier"}
        async for one in client.search(kind, params):
            for identifier in one.get("identifier", ()):
                name = f"{kind}/{identifier.get('value')}"
                if identifier.get("system") == sample.SYSTEM and name in known:
                    found[name] = f"{kind}/{one['id']}"
    return found


Entry = tuple[str, str, sample.Resource]
"""What the sample calls it, its type, and what is sent."""


def _parts(resources: list[sample.Resource], ids: Mapping[str, str]) -> Iterator[list[Entry]]:
    """Yield batches that are small enough."""
    part: list[Entry] = []
    size = 0
    for one in resources:
        sent = sample.relinked({key: one[key] for key in one if key != "id"}, ids)
        length = len(json.dumps(sent, ensure_ascii=False).encode())
        if part and (len(part) == _ENTRIES or size + length > _BYTES):
            yield part
            part, size = [], 0
        part.append((sample.reference(one), one["resourceType"], sent))
        size += length
    if part:
        yield part
