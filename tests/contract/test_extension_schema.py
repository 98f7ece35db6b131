"""The store where pgvector lies in a schema of its own, as some providers install it."""

from __future__ import annotations

from tests.support.shelf import INDEX, Shelf


def _move(shelf: Shelf) -> None:
    with shelf.connect() as owner:
        owner.execute("CREATE SCHEMA extensions")
        owner.execute("ALTER EXTENSION vector SET SCHEMA extensions")


def test_the_owners_commands_find_its_types(shelf: Shelf) -> None:
    """What builds indexes and what searches needs no search path of the login."""
    shelf.fill(1_200)
    _move(shelf)
    with shelf.connect() as owner:
        owner.execute(f"DROP INDEX {INDEX}")
    steps = shelf.json("db", "maintain")["steps"]
    assert next(one["status"] for one in steps if one["target"] == INDEX) == "done"
    assert shelf.run("db", "reindex")[0] == 0
    assert shelf.json("db", "recall", "--sample", "10")["ok"]
    assert shelf.json("db", "status")["index"]["valid"]
