"""Fire: what proves that a bot runs, what it says otherwise, and that nothing stays behind."""

from __future__ import annotations

import asyncio

import pytest

from medbots import assets, check, errors, manifest, model
from medbots.checks import catalogue, rows
from tests.support import specs
from tests.support.stand import Stand

NAME = "fire.embedding-condition"
PASS, WARN, FAIL, SKIP = check.Status.PASS, check.Status.WARN, check.Status.FAIL, check.Status.SKIP


async def fire(stand: Stand) -> check.Result:
    """Run the check alone."""
    return (await stand.look(NAME))[NAME]


def assert_clean(stand: Stand) -> None:
    """Nothing synthetic is left, on the server or in the table."""
    assert stand.clinic.of("Condition") == []
    assert stand.clinic.of("Patient") == []
    assert stand.table.rows == {}
    assert stand.table.tombstones == set()
    assert not stand.table.held


async def test_a_bot_that_runs() -> None:
    """The run, its row and the following of the deletion are seen; only the AuditEvent stays."""
    stand = await Stand.deployed()
    result = await fire(stand)
    assert result.status is PASS
    assert "1 row of 768 dimensions, model version embedding-model/768/none" in result.observed
    assert_clean(stand)
    (event,) = stand.clinic.of("AuditEvent")
    assert event in result.observed


async def test_what_is_created_is_tagged_and_marked_as_test_data() -> None:
    """Both resources carry our tag and the security label of test data, and no name."""
    stand = await Stand.deployed()
    stand.clinic.refuse = {"DELETE"}
    await fire(stand)
    for reference in (*stand.clinic.of("Patient"), *stand.clinic.of("Condition")):
        meta = stand.clinic.resources[reference]["meta"]
        assert meta["tag"] == [{"system": "urn:medbots/verify", "code": "fire"}]
        assert meta["security"][0]["code"] == "HTEST"
    (patient,) = stand.clinic.of("Patient")
    assert set(stand.clinic.resources[patient]["name"][0]) == {"text"}


async def test_nothing_runs() -> None:
    """Where nothing runs within the limit, that is said, and that the rest is in order."""
    stand = await Stand.deployed()
    stand.clinic.bot.runs = False
    result = await fire(stand)
    assert result.status is FAIL
    assert result.observed.startswith("nothing ran within 0.2 s")
    assert "log" in result.fix
    assert_clean(stand)


async def test_a_failing_bot() -> None:
    """The last line of the bot's log is repeated, without what is secret in it."""
    stand = await Stand.deployed()
    bot = stand.clinic.bot
    bot.outcome, bot.writes = "4", False
    bot.log = "starting\nDB_ERROR: postgresql://bot:hunter2@db/clinic refused\n\n"
    result = await fire(stand)
    assert result.status is FAIL
    assert "DB_ERROR" in result.observed
    assert "hunter2" not in result.observed
    assert "starting" not in result.observed
    assert_clean(stand)


async def test_a_run_by_another_subscription_proves_nothing() -> None:
    """A run that our subscription did not cause does not count."""
    stand = await Stand.deployed()
    stand.clinic.bot.subscriptions = {"Condition": "Subscription/other"}
    result = await fire(stand)
    assert result.status is FAIL


async def test_a_run_for_another_record_proves_nothing() -> None:
    """Runs of the same bot for real records do not count."""
    stand = await Stand.deployed()
    stand.clinic.bot.runs = False
    stand.clinic.add(
        {
            "resourceType": "AuditEvent",
            "type": {"code": "execute"},
            "source": {"observer": {"reference": stand.clinic.bot.reference}},
            "outcome": "0",
            "entity": [
                {"what": {"reference": "Condition/real"}},
                {"what": {"reference": stand.clinic.bot.subscriptions["Condition"]}},
            ],
        }
    )
    assert (await fire(stand)).status is FAIL


async def test_no_audit_event_but_a_row() -> None:
    """A bot whose AuditEvents are switched off is told from one that did not run."""
    stand = await Stand.deployed()
    stand.clinic.bot.audits = False
    result = await fire(stand)
    assert (result.status, "auditEventTrigger" in result.fix) == (FAIL, True)
    assert result.observed.startswith("the row is there")
    assert_clean(stand)


async def test_no_row() -> None:
    """A bot that runs and writes elsewhere is found."""
    stand = await Stand.deployed()
    stand.clinic.bot.writes = False
    result = await fire(stand)
    assert result.status is FAIL
    assert "wrote no row" in result.observed
    assert "DATABASE_URL" in result.fix
    assert_clean(stand)


@pytest.mark.parametrize(
    "row",
    [rows.Row(1536, "embedding-model/768/none"), rows.Row(768, "other-model/768/none")],
)
async def test_a_row_of_another_kind(row: rows.Row) -> None:
    """A row of another length or model version fails."""
    stand = await Stand.deployed()
    stand.clinic.bot.row = row
    result = await fire(stand)
    assert result.status is FAIL
    assert row.model_version in result.observed
    assert str(row.dimension) in result.observed
    assert_clean(stand)


async def test_a_deletion_that_is_not_followed() -> None:
    """A bot that does not follow deletions would leave rows of deleted records: a warning."""
    stand = await Stand.deployed()
    stand.clinic.bot.follows = False
    result = await fire(stand)
    assert result.status is WARN
    assert "deletion was not followed" in result.observed
    assert_clean(stand)


@pytest.mark.parametrize("after", ["POST", "GET", "PATCH", "DELETE"])
async def test_an_interrupted_run_cleans_up_or_the_next_one_does(after: str) -> None:
    """Cancelled at any step, nothing stays, at the latest after the next run."""
    stand = await Stand.deployed()
    stand.clinic.interrupt_after = after
    with pytest.raises(asyncio.CancelledError):
        await fire(stand)
    if after in ("POST", "GET"):
        assert stand.clinic.of("Condition") == []
    assert (await fire(stand)).status is PASS
    assert_clean(stand)


async def test_what_a_killed_run_left_is_removed() -> None:
    """A tagged pair, and a patient whose record is gone but for its tombstone, both go."""
    stand = await Stand.deployed()
    meta = {"tag": [{"system": "urn:medbots/verify", "code": "fire"}]}
    stand.clinic.add({"resourceType": "Patient", "meta": meta})
    old = stand.clinic.add({"resourceType": "Condition", "meta": meta})
    stand.table.rows[old] = [stand.clinic.bot.row]
    noted = [{"system": "urn:medbots/verify", "value": "Condition/gone"}]
    stand.clinic.add({"resourceType": "Patient", "meta": meta, "identifier": noted})
    stand.table.tombstones.add("Condition/gone")
    assert (await fire(stand)).status is PASS
    assert_clean(stand)


async def test_real_records_are_left_alone() -> None:
    """What does not carry the tag is not touched."""
    stand = await Stand.deployed()
    real = [
        stand.clinic.add({"resourceType": "Patient"}),
        stand.clinic.add({"resourceType": "Condition"}),
    ]
    stand.table.rows[real[1]] = [stand.clinic.bot.row]
    assert (await fire(stand)).status is PASS
    assert [*stand.clinic.of("Patient"), *stand.clinic.of("Condition")] == real
    assert list(stand.table.rows) == [real[1]]


async def test_what_cannot_be_removed_is_named() -> None:
    """When the server refuses to delete, the result says what is left and how it goes."""
    stand = await Stand.deployed()
    stand.clinic.refuse = {"DELETE"}
    result = await fire(stand)
    assert result.status is FAIL
    (condition,) = stand.clinic.of("Condition")
    (patient,) = stand.clinic.of("Patient")
    assert f"{condition}, {patient} could not be removed" in result.observed
    stand.clinic.refuse = set()
    assert (await fire(stand)).status is PASS
    assert_clean(stand)


async def test_another_run_has_the_turn() -> None:
    """Two runs at once do not remove each other's records."""
    stand = await Stand.deployed()
    stand.table.held = True
    result = await fire(stand)
    assert (result.status, "another medbots verify" in result.observed) == (FAIL, True)
    assert stand.clinic.of("Patient") == []


async def test_a_database_that_fails_while_cleaning() -> None:
    """A database that breaks meanwhile is reported, not raised."""
    stand = await Stand.deployed()
    stand.table.broken = True
    result = await fire(stand)
    assert (result.status, "could not be removed" in result.observed) == (FAIL, True)


async def test_prerequisites_that_fail_skip_it() -> None:
    """In a whole run, a missing membership is one failure, and fire names it as its reason."""
    stand = await Stand.deployed()
    stand.server.memberships.clear()
    seen = await stand.look("bots.*", "fire.*", "login.*", "subscriptions.*")
    assert (seen[NAME].status, seen[NAME].reason) == (SKIP, "bots.embedding.membership failed")
    assert stand.clinic.of("Patient") == []


def _no_membership(stand: Stand) -> None:
    stand.server.memberships.clear()


def _no_feature(stand: Stand) -> None:
    stand.change_project(features=frozenset())


def _no_bot(stand: Stand) -> None:
    stand.server.bots.clear()


def _no_subscription(stand: Stand) -> None:
    stand.server.subscriptions.clear()


def _disabled(stand: Stand) -> None:
    stand.change_subscription("embedding-condition", status="off")


@pytest.mark.parametrize(
    ("break_it", "said", "cure"),
    [
        (_no_membership, "the bot has no ProjectMembership", "medbots project doctor"),
        (_no_feature, "the project lacks the feature 'bots'", "medbots project doctor"),
        (_no_bot, "the bot is not deployed", "medbots deploy --only embedding"),
        (_no_subscription, "the subscription does not exist", "medbots subscriptions sync"),
        (_disabled, "the subscription differs: status", "medbots subscriptions sync"),
    ],
)
async def test_alone_it_finds_out_for_itself(break_it: object, said: str, cure: str) -> None:
    """Run without its prerequisites, it says what is missing, and creates nothing."""
    stand = await Stand.deployed()
    break_it(stand)  # type: ignore[operator]
    result = await fire(stand)
    assert result.status is FAIL
    assert result.observed == f"cannot fire: {said}"
    assert cure in result.fix
    assert not [one for one in stand.clinic.calls if one.startswith("POST")]


async def test_a_missing_database_setting_fails_and_is_named() -> None:
    """Without MEDBOTS_DATABASE_URL the check fails and names it; it is not skipped."""
    stand = await Stand.deployed()
    del stand.environ["MEDBOTS_DATABASE_URL"]
    result = await fire(stand)
    assert result.status is FAIL
    assert result.observed == "MEDBOTS_DATABASE_URL is not set"
    assert "MEDBOTS_DATABASE_URL" in result.fix


@pytest.mark.parametrize(
    "subscription",
    [
        specs.subscription(criteria="Condition?code=x"),
        specs.subscription(criteria="Patient"),
        specs.subscription(interaction=model.Interaction.UPDATE),
        specs.subscription(interaction=model.Interaction.DELETE),
        specs.subscription(fhirpath="%current.exists()"),
        specs.subscription(criteria="Encounter?status=finished", fhirpath="%previous.exists()"),
    ],
)
async def test_what_cannot_be_fired_has_no_check(subscription: model.SubscriptionSpec) -> None:
    """A subscription that a synthetic record need not set off has no fire check."""
    stand = await Stand.deployed(subscriptions=(subscription, specs.subscription("other")))
    ids = [one.id for one in catalogue.checks_of(stand.target())]
    assert [name for name in ids if name.startswith("fire.")] == ["fire.other"]


async def test_a_bot_that_keeps_no_rows() -> None:
    """Of a bot that keeps no vectors the run alone is proved; the database is not asked."""
    stand = await Stand.deployed(
        bots=(specs.bot("embedding"),), subscriptions=(specs.subscription(),)
    )
    stand.clinic.bot.writes = stand.clinic.bot.follows = False
    stand.database = errors.UnreachableError("no database")
    assert (await fire(stand)).status is PASS
    assert stand.clinic.of("Patient") == []


async def test_a_login_that_may_not_create() -> None:
    """A login that may not create a Patient fails for that."""
    stand = await Stand.deployed()
    stand.clinic.refuse = {"POST"}
    result = await fire(stand)
    assert (result.status, result.observed) == (
        FAIL,
        "POST fhir/R4/Patient: the server failed (HTTP 500)",
    )


async def test_create_only_does_not_wait_for_the_deletion() -> None:
    """A subscription that fires on creation alone is not expected to follow a deletion."""
    limited = specs.subscription(interaction=model.Interaction.CREATE)
    stand = await Stand.deployed(subscriptions=(limited,))
    stand.clinic.bot.follows = False
    assert (await fire(stand)).status is PASS
    assert_clean(stand)


def test_every_packaged_subscription_is_fired() -> None:
    """Each of the nine subscriptions of the manifest that ships has its fire check."""
    packaged = manifest.load(assets.bot_templates() / "medbots.yaml")
    stand = Stand(bots=packaged.bots, subscriptions=packaged.subscriptions)
    ids = {one.id for one in catalogue.checks_of(stand.target())}
    assert {name for name in ids if name.startswith("fire.")} == {
        f"fire.{one.key}" for one in packaged.subscriptions
    }
