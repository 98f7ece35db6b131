"""`subscriptions sync` and `subscriptions list` on a running server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import medplum
from tests.live import stage as stage_module
from tests.live.medplum import Json
from tests.live.plans import CHANGES, change_of, check_shape, to_do
from tests.live.scratch import Scratch
from tests.live.stage import Stage

EMBEDDED = {
    "embedding-diagnostic-report": "DiagnosticReport",
    "embedding-document-reference": "DocumentReference",
    "embedding-observation": "Observation",
    "embedding-condition": "Condition",
    "embedding-medication-statement": "MedicationStatement",
}
KEYS = {
    **EMBEDDED,
    "cds-encounter": "Encounter",
    "cds-medication-request": "MedicationRequest",
    "billing-encounter-finished": "Encounter?status=finished",
    "approval-queue-task": "Task?code=ai-approval",
}
RUN = {
    "embedding": set(EMBEDDED),
    "clinical-decision-support": {"cds-encounter", "cds-medication-request"},
    "billing-code-suggester": {"billing-encounter-finished"},
    "approval-queue": {"approval-queue-task"},
}
"""Which bot runs on which."""
ONE = "embedding-condition"
INTERACTION = "https://medplum.com/fhir/StructureDefinition/subscription-supported-interaction"


@pytest.fixture
def synced(deployed: Stage) -> Iterator[Stage]:
    """A stage that is as it should be, before the test and after it."""
    yield deployed
    deployed.medbots("subscriptions", "sync").expect()


def all_of(stage: Stage, key: str = "") -> list[Json]:
    """Return the Subscriptions that carry our tag, of one key or of all."""
    query = f"Subscription?_tag={stage.namespace}/subscription|{key}&_count=100"
    return stage.clinic.admin.find(query)


class TestFirst:
    """Subscriptions where there are none."""

    def test_it_makes_them_once(self, stage: Stage) -> None:
        """After `deploy`, `sync` makes one Subscription a key; again, it makes none."""
        stage.medbots("deploy").expect()
        plan = stage.medbots.json(
            "subscriptions", "sync", "--dry-run", "--detailed-exitcode", code=CHANGES
        )
        check_shape(plan, dry_run=True)
        assert all_of(stage) == []
        done = stage.medbots.json("subscriptions", "sync")
        check_shape(done, dry_run=False)
        assert {each["kind"] for each in done["changes"]} == {"subscription"}
        assert done["summary"]["create"] == len(KEYS)
        bots = {f"Bot/{stage.bot(key)['id']}": key for key in RUN}
        for key, criteria in KEYS.items():
            made = stage.subscription(key)
            assert made["id"] == change_of(done, "subscription", key)["id"]
            assert (made["status"], made["criteria"]) == ("active", criteria)
            assert made["channel"]["type"] == "rest-hook"
            assert key in RUN[bots[made["channel"]["endpoint"]]]
            assert ("extension" in made) == (key == "billing-encounter-finished")
        again = stage.medbots.json("subscriptions", "sync")
        assert to_do(again) == []
        assert again["requests"] == 2

    def test_without_the_bot_it_says_so(self, stage: Stage, tmp_path: Path) -> None:
        """Before `deploy` there is no bot to run: nothing is made, and the verb is named."""
        with stage_module.of(stage.clinic, stage.target, tmp_path) as bare:
            result = bare.medbots("subscriptions", "sync", "--format", "json")
            assert "medbots deploy" in result.out + result.err
            assert all_of(bare) == []


class TestDrift:
    """What others changed."""

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"status": "off"}, "status"),
            ({"criteria": "Condition?category=x"}, "criteria"),
            ({"channel": {"type": "rest-hook", "endpoint": "https://example.com"}}, "endpoint"),
            ({"extension": [{"url": INTERACTION, "valueCode": "create"}]}, "interaction"),
        ],
        ids=["status", "criteria", "endpoint", "interaction"],
    )
    def test_it_is_mended(self, synced: Stage, change: Json, field: str) -> None:
        """A change behind our back is an update of that Subscription alone; its id stays."""
        before = synced.subscription(ONE)
        synced.clinic.admin.update({**before, **change})
        done = synced.medbots.json("subscriptions", "sync")
        assert to_do(done) == [("subscription", ONE, "update")]
        assert field in " ".join(change_of(done, "subscription", ONE)["fields"])
        after = synced.subscription(ONE)
        for name in ("id", "status", "criteria", "channel", "reason"):
            assert after[name] == before[name]
        assert "extension" not in after

    def test_a_deleted_one_is_made_again(self, synced: Stage) -> None:
        """A Subscription that somebody deleted is made again."""
        before = synced.subscription(ONE)
        synced.clinic.admin.delete(f"fhir/R4/Subscription/{before['id']}")
        done = synced.medbots.json("subscriptions", "sync")
        assert to_do(done) == [("subscription", ONE, "create")]
        assert synced.subscription(ONE)["id"] != before["id"]

    def test_one_made_by_hand_is_adopted(self, synced: Stage) -> None:
        """One of the same criteria and endpoint without our tag is adopted: none runs twice."""
        admin, before = synced.clinic.admin, synced.subscription(ONE)
        admin.delete(f"fhir/R4/Subscription/{before['id']}")
        theirs = admin.create(
            {
                "resourceType": "Subscription",
                "status": "active",
                "reason": "made by hand",
                "criteria": before["criteria"],
                "channel": before["channel"],
            }
        )
        done = synced.medbots.json("subscriptions", "sync")
        change = change_of(done, "subscription", ONE)
        assert (change["action"], change["id"]) == ("adopt", theirs["id"])
        assert synced.subscription(ONE)["id"] == theirs["id"]
        endpoint = before["channel"]["endpoint"]
        running = admin.find(f"Subscription?url={endpoint}&criteria:exact={before['criteria']}")
        assert len(running) == 1

    def test_others_are_left_alone(self, synced: Stage, made_by_hand: Json) -> None:
        """A Subscription of another bot on the same criteria is nobody's business."""
        assert to_do(synced.medbots.json("subscriptions", "sync")) == []
        after = synced.clinic.admin.read(f"Subscription/{made_by_hand['id']}")
        assert after["meta"]["versionId"] == made_by_hand["meta"]["versionId"]

    def test_a_manifest_with_an_interaction(self, synced: Stage, tmp_path: Path) -> None:
        """`interaction` and `fhirPathCriteria` of the manifest become the server's extensions."""
        path = "%current.code.exists()"
        change = {"subscriptions": {ONE: {"interaction": "create", "fhirPathCriteria": path}}}
        manifest = stage_module.change_manifest(synced, tmp_path, change)
        done = synced.medbots.with_manifest(manifest).json("subscriptions", "sync")
        assert to_do(done) == [("subscription", ONE, "update")]
        extensions = {
            each["url"].rpartition("/")[2]: each.get("valueCode", each.get("valueString"))
            for each in synced.subscription(ONE)["extension"]
        }
        assert extensions == {
            "subscription-supported-interaction": "create",
            "fhir-path-criteria-expression": path,
        }


@pytest.fixture
def made_by_hand(deployed: Stage, records: Scratch) -> Json:
    """Somebody else's Subscription on Conditions."""
    return records.subscription("Condition", f"Bot/{records.bot()['id']}")


def test_the_list_has_the_contracts_shape(synced: Stage, made_by_hand: Json) -> None:
    """`subscriptions list`: ours with key and bot key, others' without a key, `owned` false."""
    rows = synced.medbots.json("subscriptions", "list")
    for row in rows:
        assert set(row) >= {"key", "name", "criteria", "bot", "status", "id", "owned"}
    owned = {row["key"]: row for row in rows if row["owned"]}
    assert {key: row["criteria"] for key, row in owned.items()} == KEYS
    assert {key for key, row in owned.items() if row["bot"] == "embedding"} == set(EMBEDDED)
    (theirs,) = (row for row in rows if row["id"] == made_by_hand["id"])
    assert (theirs["owned"], theirs["key"]) == (False, None)
    assert theirs["bot"] == made_by_hand["channel"]["endpoint"]
    text = synced.medbots("subscriptions", "list").expect().out
    assert all(key in text for key in KEYS)


def test_a_member_may_list(synced: Stage, records: Scratch) -> None:
    """A member who is no admin may list what they may read."""
    member = records.member()
    token = str(member.session.headers["Authorization"]).removeprefix("Bearer ")
    rows = synced.medbots.having(MEDPLUM_ACCESS_TOKEN=token).json("subscriptions", "list")
    assert {row["key"] for row in rows if row["owned"]} == set(KEYS)
    assert medplum.expect(member.session.get("auth/me"))["membership"].get("admin") is None
