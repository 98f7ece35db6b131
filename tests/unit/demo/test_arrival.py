"""Waiting for vectors, and asking for those that will not come."""

from __future__ import annotations

from typing import Any

import pytest

from medbots import errors
from medbots.bots import deployed
from medbots.demo import arrival


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """What the table holds at each look, the last for good."""
    looks: list[set[str]] = []

    async def look(*_: object) -> set[str]:
        return looks.pop(0) if len(looks) > 1 else looks[0]

    monkeypatch.setattr(arrival, "embedded", look)
    monkeypatch.setattr(arrival, "_POLL_SECONDS", 0.0)
    return looks


async def _all(expected: set[str], patience: float = 5.0) -> list[int]:
    counts = arrival.arrivals(None, "p", "v", expected, patience=patience)  # type: ignore[arg-type]
    return [count async for count in counts]


async def test_each_change_is_told(table: list[set[str]]) -> None:
    """The count is told whenever it changes, until all are there; others' rows do not count."""
    table += [{"x/9"}, {"x/1"}, {"x/1", "x/9"}, {"x/1", "x/2", "x/3"}]
    assert await _all({"x/1", "x/2", "x/3"}) == [0, 1, 3]


async def test_nothing_to_wait_for(table: list[set[str]]) -> None:
    """Where nothing is expected, it is all there."""
    table += [set()]
    assert await _all(set()) == [0]


async def test_a_standstill_is_an_error(table: list[set[str]]) -> None:
    """When no further row comes, the error says how many are there."""
    table += [set(), {"x/1"}]
    with pytest.raises(errors.CheckFailedError, match="1 of 2 records") as caught:
        await _all({"x/1", "x/2"}, patience=0.05)
    assert "medbots verify" in (caught.value.hint or "")


class Bot:
    """A client whose bot gives one answer."""

    def __init__(self, answer: Any) -> None:
        """Set the answer."""
        self.answer = answer
        self.asked: list[tuple[str, Any]] = []

    async def post(self, path: str, body: Any, **_: object) -> Any:
        """Give it."""
        self.asked.append((path, body))
        return self.answer


EMBEDDING = deployed.Bot("embedding", "b1", "Embedding Bot")


async def test_lost_records_are_asked_for_one_by_one() -> None:
    """The Embedding Bot is run for each record, by type and id."""
    bot = Bot({"success": True})
    await arrival.embed(bot, EMBEDDING, {"Condition/1", "Observation/2"})  # type: ignore[arg-type]
    assert sorted(bot.asked, key=str) == [
        ("fhir/R4/Bot/b1/$execute", {"resourceType": "Condition", "id": "1"}),
        ("fhir/R4/Bot/b1/$execute", {"resourceType": "Observation", "id": "2"}),
    ]


async def test_a_bot_that_fails() -> None:
    """A bot that says it could not is an error."""
    bot = Bot({"success": False, "errorCode": "DB_ERROR", "message": "down"})
    with pytest.raises(errors.BotFailedError, match="DB_ERROR"):
        await arrival.embed(bot, EMBEDDING, {"Condition/1"})  # type: ignore[arg-type]
