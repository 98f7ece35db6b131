"""Applying a plan: order, failures, interruption, and that the next run completes it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medbots import apply, errors, model, plan, secret, state
from tests.support import specs
from tests.support.fake_server import FakeServer


async def run(server: FakeServer, wish: model.Desired, jobs: int = 4) -> list[apply.Applied]:
    """Plan and apply once."""
    the_plan = plan.diff(wish, await server.read(wish))
    return [one async for one in apply.apply(the_plan, server, jobs=jobs)]


async def left_over(server: FakeServer, wish: model.Desired) -> tuple[plan.Change, ...]:
    """Return what a further run would still do."""
    return plan.diff(wish, await server.read(wish)).to_do


async def test_apply_then_diff_is_empty() -> None:
    """What a plan asked for is there afterwards."""
    server = FakeServer()
    wish = specs.desired(specs.bot("embedding"), specs.bot("semantic-search"))
    ended = await run(server, wish)
    assert {one.status for one in ended} == {apply.Status.DONE, apply.Status.SKIPPED}
    assert await left_over(server, wish) == ()


async def test_nothing_to_do_writes_nothing() -> None:
    """A second run makes no write."""
    server = FakeServer()
    wish = specs.desired()
    await run(server, wish)
    before = server.writes
    ended = await run(server, wish)
    assert server.writes == before
    assert all(one.status is apply.Status.DONE for one in ended if not one.change.skip)


async def test_blocked_plan_writes_nothing() -> None:
    """Where a part is not allowed, no part is written."""
    server = FakeServer(project=state.Project("p1", "Clinic", frozenset(), {}))
    with pytest.raises(errors.NotAllowedError):
        await run(server, specs.desired())
    assert server.writes == 0


async def test_dependents_of_a_failure_are_skipped() -> None:
    """Where a bot fails, its membership and subscription wait; the others go on."""
    server = FakeServer(fail=frozenset({5}))  # secrets, two policies, device, then the first bot
    wish = specs.desired(specs.bot("embedding"), specs.bot("semantic-search"))
    ended = await run(server, wish, jobs=1)
    ends = {(one.change.kind.value, one.change.key): one.status.value for one in ended}
    assert ends["bot", "embedding"] == "failed"
    assert ends["membership", "embedding"] == "skipped"
    assert ends["subscription", "embedding-condition"] == "skipped"
    assert ends["membership", "semantic-search"] == "done"
    server.fail = frozenset()
    await run(server, wish)
    assert await left_over(server, wish) == ()


async def test_secrets_are_one_write() -> None:
    """All secrets of a plan go in one write, for the server replaces the whole list."""
    names = ("A", "B", "C")
    wish = specs.desired(
        secrets=tuple(model.SecretSpec(name, secret.Secret(name.lower())) for name in names)
    )
    server = FakeServer(project=replace(FakeServer().project, secrets={"X": secret.Secret("x")}))
    await run(server, wish)
    assert {name: one.reveal() for name, one in (server.project.secrets or {}).items()} == {
        "X": "x",
        "A": "a",
        "B": "b",
        "C": "c",
    }
    assert server.writes == 6  # secrets, policy, device, bot, membership, subscription


async def test_cancelled_in_the_middle() -> None:
    """An interruption cancels the writes under way and leaves what the next run completes."""
    server = FakeServer()
    wish = specs.desired(*(specs.bot(f"bot-{number}") for number in range(6)))
    the_plan = plan.diff(wish, await server.read(wish))
    seen = 0
    async with contextlib.aclosing(apply.apply(the_plan, server, jobs=2)) as running:
        async for one in running:
            seen += one.change.kind is state.Kind.BOT
            if seen == 2:
                break
    await run(server, wish)
    assert await left_over(server, wish) == ()
    assert len(server.bots) == 6


@settings(max_examples=60)
@given(
    bots=st.integers(1, 4),
    fail=st.frozensets(st.integers(1, 25), max_size=4),
    halfway=st.frozensets(st.integers(1, 25), max_size=3),
    jobs=st.integers(1, 5),
)
def test_any_failure_is_completed_by_the_next_run(
    bots: int, fail: frozenset[int], halfway: frozenset[int], jobs: int
) -> None:
    """Whatever fails, and wherever it stops, a further run ends with nothing left to do."""

    async def both() -> None:
        server = FakeServer(fail=fail, halfway=halfway)
        wish = specs.desired(*(specs.bot(f"bot-{number}") for number in range(bots)))
        await run(server, wish, jobs)
        server.fail = server.halfway = frozenset()
        await run(server, wish, jobs)
        assert await left_over(server, wish) == ()
        assert len(server.bots) == len(server.memberships) == bots

    asyncio.run(both())
