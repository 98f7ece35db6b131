"""Bringing the sample into a project whose server chooses the ids."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from medbots import errors
from medbots.demo import loader, sample
from medbots.medplum.batch import BatchEntry, BatchResult


class Project:
    """A client whose server keeps what it gets, under ids of its own."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self.kept: list[dict[str, Any]] = []
        self.batches: list[Sequence[BatchEntry]] = []
        self.refuse_after: int | None = None

    async def batch(self, entries: Sequence[BatchEntry]) -> list[BatchResult]:
        """Create each, unless the test has another plan."""
        self.batches.append(entries)
        return [self._create(entry) for entry in entries]

    def _create(self, entry: BatchEntry) -> BatchResult:
        assert entry.method == "POST"
        assert entry.resource is not None
        assert "id" not in entry.resource
        if self.refuse_after is not None and len(self.kept) >= self.refuse_after:
            outcome = {
                "resourceType": "OperationOutcome",
                "issue": [{"severity": "error", "code": "invalid", "details": {"text": "no"}}],
            }
            return BatchResult(400, None, outcome)
        made = {**entry.resource, "id": f"server-{len(self.kept)}"}
        self.kept.append(made)
        return BatchResult(201, made, None)

    async def search(self, kind: str, params: dict[str, str]) -> AsyncIterator[dict[str, Any]]:
        """Find by the sample's tag."""
        assert params["_tag"] == "urn:medbots:sample|sample"
        for one in self.kept:
            if one["resourceType"] == kind:
                yield {"resourceType": kind, "id": one["id"], "identifier": one["identifier"]}


async def test_everything_arrives_and_holds_together() -> None:
    """Each resource is created once, its references name what the server calls their targets."""
    project, told = Project(), []
    resources = sample.resources()
    loaded = await loader.load(project, resources, told.append)  # type: ignore[arg-type]
    names = {f"{one['resourceType']}/{one['id']}" for one in project.kept}
    assert len(project.kept) == len(resources) == sum(told)
    assert set(sample.references(project.kept)) <= names
    assert set(loaded.ids.values()) == loaded.created == names
    assert set(loaded.ids) == {sample.reference(one) for one in resources}


async def test_batches_are_small() -> None:
    """No batch comes near the server's limit of 1 MB."""
    project = Project()
    await loader.load(project, sample.resources(), lambda _: None)  # type: ignore[arg-type]
    for batch in project.batches:
        assert 0 < len(batch) <= 40
        assert len(json.dumps([one.resource for one in batch])) < 900_000


async def test_large_resources_get_batches_of_their_own() -> None:
    """Two notes that are too large together are sent one by one."""
    project = Project()
    notes = [
        {"resourceType": "Basic", "id": name, "text": "x" * 500_000, "identifier": []}
        for name in ("a", "b")
    ]
    await loader.load(project, notes, lambda _: None)  # type: ignore[arg-type]
    assert [len(batch) for batch in project.batches] == [1, 1]


async def test_a_second_time_nothing_is_created() -> None:
    """What is there is recognised, wherever it came from."""
    project, told = Project(), []
    resources = sample.resources()
    first = await loader.load(project, resources, lambda _: None)  # type: ignore[arg-type]
    project.batches.clear()
    second = await loader.load(project, resources, told.append)  # type: ignore[arg-type]
    assert project.batches == []
    assert second.ids == first.ids
    assert second.created == set()
    assert sum(told) == len(resources)


async def test_an_interrupted_load_is_completed() -> None:
    """After a failure in the middle, the next load creates what is missing, and nothing twice."""
    project = Project()
    resources = sample.resources()
    project.refuse_after = 100
    with pytest.raises(errors.ServerError):
        await loader.load(project, resources, lambda _: None)  # type: ignore[arg-type]
    assert len(project.kept) == 100
    project.refuse_after = None
    loaded = await loader.load(project, resources, lambda _: None)  # type: ignore[arg-type]
    assert len(project.kept) == len(resources)
    assert len(loaded.created) == len(resources) - 100
    values = [one["identifier"][0]["value"] for one in project.kept]
    assert len(set(values)) == len(values)
