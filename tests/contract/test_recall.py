"""`db recall` on a real Postgres."""

from __future__ import annotations

from typing import Any

import pytest

from medbots.database import search
from tests.support import store
from tests.support.shelf import INDEX, MODEL, Shelf

SECRET_WORDS = "kept to itself"


def _sabotage(shelf: Shelf) -> None:
    """Replace the index by one whose graph has next to no edges; it looks like any other."""
    with shelf.connect() as owner:
        owner.execute(f"DROP INDEX {INDEX}")
        owner.execute(
            f"CREATE INDEX {INDEX} ON clinical_embeddings "
            "USING hnsw (embedding halfvec_cosine_ops) WITH (m = 2, ef_construction = 4) "
            f"WHERE model_version = '{MODEL}'"
        )


def test_a_sound_index_and_a_bad_one(shelf: Shelf) -> None:
    """The index that ships reaches the threshold; one with few edges does not, and exits 1."""
    shelf.fill(3_000)
    shelf.json("db", "maintain")
    good = shelf.json("db", "recall", "--sample", "40")
    assert good["ok"]
    assert good["recall"] >= 0.97
    assert good["interval"]["low"] <= good["recall"] <= good["interval"]["high"]
    assert (good["sample"], good["project"], good["threshold"]) == (40, store.PROJECT, 0.95)
    assert sum(good["default"]["ways"].values()) == 40
    assert "exact" not in good["default"]["ways"]
    assert good["warnings"] == []
    for way in ("default", "exact"):
        assert 0 < good[way]["p50Ms"] <= good[way]["p95Ms"]

    _sabotage(shelf)
    bad = shelf.json("db", "recall", "--sample", "40", code=1)
    assert not bad["ok"]
    assert bad["recall"] < 0.95
    assert bad["interval"]["high"] < 1
    code, out, err = shelf.run("db", "recall", "--sample", "40")
    assert code == 1
    assert "The recall is below 0.95." in out
    assert SECRET_WORDS not in out + err
    # The same queries, judged by what they reach.
    assert shelf.json("db", "recall", "--sample", "40", "--threshold", "0")["ok"]


def test_no_query_through_an_index(shelf: Shelf) -> None:
    """Few rows, or none of the model's index: the figure stands, and what it is not worth."""
    shelf.fill(50)
    few = shelf.json("db", "recall", "--sample", "10")
    assert (few["ok"], set(few["default"]["ways"])) == (True, {"exact"})
    assert few["warnings"][0].startswith("no query went through the index")
    with shelf.connect() as owner:
        owner.execute(f"DROP INDEX {INDEX}")
    code, out, err = shelf.run("db", "recall", "--sample", "10")
    assert code == 0
    assert "The recall reaches 0.95." in out
    assert f"warning: no valid index serves {MODEL}" in err
    assert "medbots db maintain builds it" in err


def test_the_same_seed_asks_the_same(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs ask the same vectors in the same order; another seed takes others."""
    shelf.fill(300)
    asked: list[list[float]] = []
    nearest = search.nearest

    async def heard(connection: Any, wanted: search.Search, **ways: bool) -> search.Found:
        asked.append(list(wanted.vector))
        return await nearest(connection, wanted, **ways)

    monkeypatch.setattr(search, "nearest", heard)
    runs = []
    for seed in "112":
        asked.clear()
        found = shelf.json("db", "recall", "--sample", "10", "--seed", seed)
        assert found["seed"] == int(seed)
        # By default and exactly.
        assert asked[::2] == asked[1::2]
        runs.append(asked[::2])
    first, again, other = runs
    assert first == again
    assert len(first) == 10
    assert not any(vector in first for vector in other)


def test_whose_rows(shelf: Shelf) -> None:
    """Of several projects one is named, or there is a login; an unknown one has too few rows."""
    shelf.fill(50)
    shelf.fill(60, store.OTHER_PROJECT)
    code, _, err = shelf.run("db", "recall")
    assert code == 64
    assert store.PROJECT in err
    assert store.OTHER_PROJECT in err
    assert "--project-id" in err
    found = shelf.json("db", "recall", "--project-id", store.OTHER_PROJECT, "--sample", "10")
    assert found["project"] == store.OTHER_PROJECT
    nobody = "33333333-3333-4333-8333-333333333333"
    shown = shelf.json("db", "recall", "--project-id", nobody, code=1)
    assert shown["error"]["message"].startswith("too few rows to judge by: 0 queries")
    shown = shelf.json("db", "recall", "--type", "Condition", "--project-id", store.PROJECT, code=1)
    assert "Condition of project" in shown["error"]["message"]


@pytest.mark.parametrize(
    "args",
    [
        ("--project-id", "clinic"),
        ("--sample", "0"),
        ("--threshold", "1.5"),
        ("--type", "Patient"),
        ("--type", "condition"),
    ],
)
def test_what_it_does_not_take(shelf: Shelf, args: tuple[str, str]) -> None:
    """Usage errors, before anything is asked."""
    assert shelf.run("db", "recall", *args)[0] == 64


def test_without_rows(shelf: Shelf) -> None:
    """No row of the model in use: nothing to judge by, and no exit 0."""
    code, _, err = shelf.run("db", "recall")
    assert code == 1
    assert f"no row of model {MODEL} is in the store" in err
