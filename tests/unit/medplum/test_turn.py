"""Turns: one run at a time makes a bot; a killed run's turn ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from medbots import config, errors
from medbots.medplum import auth, client, fhir, sessions, turn
from tests.support.medplum_transport import Medplum

NAMES = fhir.Names("urn:medbots")


@pytest.fixture
def medplum() -> Medplum:
    """A project that is empty."""
    return Medplum()


@pytest.fixture
async def one(medplum: Medplum, tmp_path: Path) -> AsyncIterator[client.Client]:
    """A client of it."""
    environ = {"MEDPLUM_ACCESS_TOKEN": "token", "MEDPLUM_BASE_URL": "http://localhost:8103/"}
    settings = config.resolve({}, environ, {}, {})
    store = sessions.Sessions(tmp_path)
    async with auth.connect(settings, store, transport=medplum.transport()) as made:
        yield made


async def test_turns_follow_each_other(one: client.Client, medplum: Medplum) -> None:
    """Whoever comes second waits until the first has ended, and nothing stays behind."""
    told: list[str] = []

    async def run(name: str) -> None:
        async with turn.taken(one, NAMES, "embedding", sleep=lambda _: asyncio.sleep(0)):
            told.append(f"{name} begins")
            await asyncio.sleep(0.01)
            told.append(f"{name} ends")

    await asyncio.gather(run("a"), run("b"))
    assert told in (
        ["a begins", "a ends", "b begins", "b ends"],
        ["b begins", "b ends", "a begins", "a ends"],
    )
    assert medplum.of("Basic") == []


async def test_bots_do_not_wait_for_each_other(one: client.Client) -> None:
    """A turn is one bot's."""
    first, second = (turn.taken(one, NAMES, key) for key in ("embedding", "semantic-search"))
    async with asyncio.timeout(1), first, second:
        pass


async def test_the_turn_of_a_killed_run_is_taken_over(one: client.Client, medplum: Medplum) -> None:
    """A turn that nobody ends is waited for a while, then taken."""
    killed = turn.taken(one, NAMES, "embedding")
    await killed.__aenter__()
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    async with turn.taken(one, NAMES, "embedding", patience=0.0, sleep=sleep):
        assert len(medplum.of("Basic")) == 1
    assert len(waited) == 1
    assert medplum.of("Basic") == []


async def test_a_long_wait_is_explained(
    one: client.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who waits for a killed run is told so once, and for which bot."""
    monkeypatch.setattr(turn, "_SILENCE", 0.0)
    killed = turn.taken(one, NAMES, "embedding")
    await killed.__aenter__()
    async with turn.taken(
        one, NAMES, "embedding", patience=0.01, sleep=lambda _: asyncio.sleep(0.002)
    ):
        pass
    assert [one.getMessage() for one in caplog.records if one.name == "medbots.turn"] == [
        "another run is making the bot embedding, or was killed there: waiting up to 0 s"
    ]


async def test_a_failure_ends_the_turn(one: client.Client, medplum: Medplum) -> None:
    """What goes wrong inside comes out, and the next run need not wait."""
    with pytest.raises(errors.ServerError, match="no"):
        async with turn.taken(one, NAMES, "embedding"):
            raise errors.ServerError("no")
    assert medplum.of("Basic") == []
