"""The checks of subscriptions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from medbots import check, model
from tests.support import specs
from tests.support.stand import Stand

KEY = "embedding-condition"


async def test_all_pass() -> None:
    """Where everything stands, every check of every subscription passes."""
    stand = await Stand.deployed()
    seen = await stand.look("subscriptions.*")
    assert {one.status for one in seen.values()} == {check.Status.PASS}
    assert [name for name in seen if name.startswith(f"subscriptions.{KEY}.")] == [
        f"subscriptions.{KEY}.{part}"
        for part in ("exists", "active", "criteria", "endpoint", "interaction")
    ]


@pytest.mark.parametrize(
    ("changes", "failing", "observed"),
    [
        ({"status": "off"}, "active", "off"),
        ({"status": "foo"}, "active", "foo"),
        ({"criteria": "Condition?code=x"}, "criteria", "Condition?code=x"),
        ({"fhirpath": "%current.id"}, "criteria", "Condition, %current.id"),
        ({"endpoint": "Bot/gone"}, "endpoint", "rest-hook, Bot/gone"),
        ({"endpoint": ""}, "endpoint", "rest-hook, none"),
        ({"channel": "email"}, "endpoint", "email"),
        ({"interaction": "create"}, "interaction", "create"),
    ],
)
async def test_a_changed_field_fails_its_own_check(
    changes: dict[str, object], failing: str, observed: str
) -> None:
    """A field changed behind medbots fails one check of that subscription alone."""
    stand = await Stand.deployed()
    stand.change_subscription(KEY, **changes)
    seen = await stand.look("subscriptions.*")
    bad = [name for name, one in seen.items() if one.status is not check.Status.PASS]
    assert bad == [f"subscriptions.{KEY}.{failing}"]
    result = seen[bad[0]]
    assert result.observed.startswith(observed)
    assert result.observed != result.expected
    assert result.fix == "medbots subscriptions sync"


async def test_a_missing_subscription() -> None:
    """One that is not there fails `exists`, and its other checks are skipped."""
    stand = await Stand.deployed()
    del stand.server.subscriptions[stand.subscription(KEY).id]
    seen = await stand.look("subscriptions.*")
    assert seen[f"subscriptions.{KEY}.exists"].observed == "none"
    assert seen[f"subscriptions.{KEY}.active"].reason == f"subscriptions.{KEY}.exists failed"
    assert seen["subscriptions.embedding-observation.exists"].status is check.Status.PASS


async def test_a_duplicate_is_named() -> None:
    """A second subscription for the same thing would run the bot twice: it is named."""
    stand = await Stand.deployed()
    live = stand.subscription(KEY)
    stand.server.subscriptions["twin"] = replace(live, id="twin", key=None)
    seen = await stand.look("subscriptions.*")
    result = seen[f"subscriptions.{KEY}.exists"]
    assert result.status is check.Status.FAIL
    assert "Subscription/twin fires too" in result.observed
    assert result.fix == "delete Subscription/twin"


async def test_a_duplicate_that_is_off_is_no_trouble() -> None:
    """A second subscription that is not active fires nothing."""
    stand = await Stand.deployed()
    live = stand.subscription(KEY)
    stand.server.subscriptions["twin"] = replace(live, id="twin", key=None, status="off")
    seen = await stand.look(f"subscriptions.{KEY}.exists")
    assert seen[f"subscriptions.{KEY}.exists"].status is check.Status.PASS


async def test_one_without_our_tag() -> None:
    """One that somebody made by hand is not ours until sync adopts it."""
    stand = await Stand.deployed()
    stand.change_subscription(KEY, key=None)
    seen = await stand.look(f"subscriptions.{KEY}.*")
    assert "does not carry our tag" in seen[f"subscriptions.{KEY}.exists"].observed


async def test_an_expected_interaction() -> None:
    """A subscription that the manifest limits must be limited on the server."""
    limited = specs.subscription(KEY, interaction=model.Interaction.CREATE)
    stand = await Stand.deployed(subscriptions=(limited,))
    seen = await stand.look("subscriptions.*")
    assert {one.status for one in seen.values()} == {check.Status.PASS}
    stand.change_subscription(KEY, interaction=None)
    result = (await stand.look("subscriptions.*"))[f"subscriptions.{KEY}.interaction"]
    assert (result.status, result.observed, result.expected) == (
        check.Status.FAIL,
        "all",
        "create",
    )
