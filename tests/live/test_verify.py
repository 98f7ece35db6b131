"""`verify` on a running project: green where all stands, red for what somebody broke."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import breakages, projects, router
from tests.live import stage as stage_module
from tests.live.breakages import KEY
from tests.live.medplum import Json, Session
from tests.live.stage import Stage

FAILED = 1
FIRE = f"fire.{KEY}"


def failing(document: Json) -> dict[str, Json]:
    """Return the checks that failed, by id."""
    return {each["id"]: each for each in document["checks"] if each["status"] == "fail"}


def check_shape(document: Json) -> None:
    """Assert the contract's JSON, to which more may be added."""
    assert set(document) >= {"ok", "checks", "summary", "durationMs"}
    assert set(document["summary"]) >= {"pass", "warn", "fail", "skip"}
    for each in document["checks"]:
        assert set(each) >= {
            "id",
            "status",
            "severity",
            "observed",
            "expected",
            "fix",
            "durationMs",
        }
        assert each["status"] in {"pass", "warn", "fail", "skip"}
        assert each["severity"] in {"error", "warning"}
        assert ("reason" in each) == (each["status"] == "skip")
    for status, count in document["summary"].items():
        assert sum(each["status"] == status for each in document["checks"]) == count
    assert document["ok"] is (document["summary"]["fail"] == 0)


@pytest.fixture(scope="module", autouse=True)
def _unhurried(super_admin_if_any: Session | None, stage: Stage) -> None:
    """Many whole runs in a minute are more than a server allows one member."""
    if super_admin_if_any is not None:
        projects.lift_quota(super_admin_if_any, stage.clinic.id)


class TestGreen:
    """Where everything stands."""

    def test_all_pass_and_the_bot_fires(self, deployed: Stage) -> None:
        """Every check passes, `--strict` too, and nothing is skipped."""
        document = deployed.medbots.json("verify", "--strict")
        check_shape(document)
        assert failing(document) == {}
        assert document["summary"]["skip"] == 0
        (fire,) = (each for each in document["checks"] if each["id"] == FIRE)
        assert fire["status"] == "pass"
        assert fire["observed"].startswith("ran after ")

    def test_the_ids_are_those_of_the_list(self, deployed: Stage) -> None:
        """`--list-checks` lists what a run looks at, in the same order."""
        listed = deployed.medbots("verify", "--list-checks").expect().out
        for each in deployed.medbots.json("verify")["checks"]:
            assert each["id"] in listed

    def test_fire_leaves_nothing_but_audit_events(self, deployed: Stage) -> None:
        """Condition, Patient, row and tombstone are removed; the AuditEvents stay."""
        admin = deployed.clinic.admin
        deployed.medbots("verify", "--only", "fire.*").expect()
        tag = f"{deployed.namespace}/verify|fire"
        for kind in ("Patient", "Condition"):
            assert admin.find(f"{kind}?_tag={tag}") == []
        query = f"AuditEvent?source=Bot/{deployed.bot('embedding')['id']}&_sort=-_lastUpdated"
        (event, *_) = admin.find(query)
        assert event["outcome"] == "0"
        with deployed.database() as connection:
            for table in ("clinical_embeddings", "clinical_embedding_tombstones"):
                rows = connection.execute(
                    f"SELECT 1 FROM {table} WHERE project_id = %s",  # noqa: S608
                    (deployed.clinic.id,),
                ).fetchall()
                assert rows == []

    def test_only_and_skip(self, deployed: Stage) -> None:
        """`--only` and `--skip` choose by globs; what is left out is skipped, or not there."""
        document = deployed.medbots.json(
            "verify", "--only", "bots.*,login.*", "--skip", "*.membership"
        )
        status = {each["id"]: each["status"] for each in document["checks"]}
        assert status["bots.embedding.digest"] == "pass"
        looked = {each for each, state in status.items() if state != "skip"}
        assert all(each.startswith(("bots.", "login.")) for each in looked)
        assert not any(each.endswith(".membership") for each in looked)


class TestRed:
    """Where one thing is broken: the check of that thing says so, and how to mend it."""

    @pytest.mark.parametrize(
        ("break_it", "check", "fix"),
        [
            (breakages.code, "bots.embedding.code", "medbots deploy --only embedding"),
            (breakages.time_limit, "bots.embedding.timeout", "medbots deploy --only embedding"),
            (
                breakages.identity,
                "bots.semantic-search.identity",
                "medbots deploy --only semantic-search",
            ),
            (breakages.policy, "bots.embedding.policy", "medbots deploy --only embedding"),
            (breakages.device, "devices.embedding-model", "medbots deploy"),
            (breakages.secret, "bots.embedding.secrets", "medbots deploy"),
            (breakages.inactive, f"subscriptions.{KEY}.active", "medbots subscriptions sync"),
            (breakages.criteria, f"subscriptions.{KEY}.criteria", "medbots subscriptions sync"),
            (breakages.endpoint, f"subscriptions.{KEY}.endpoint", "medbots subscriptions sync"),
            (breakages.gone, f"subscriptions.{KEY}.exists", "medbots subscriptions sync"),
            (breakages.twice, f"subscriptions.{KEY}.exists", "Subscription"),
            (breakages.index, "embeddings.index", "medbots db init"),
            (breakages.role, "database.role", "medbots db init"),
        ],
        ids=lambda value: getattr(value, "__name__", ""),
    )
    def test_it_is_found(
        self, deployed: Stage, break_it: breakages.Break, check: str, fix: str
    ) -> None:
        """The check fails with exit 1, names the cure, and the cure mends it."""
        mend = break_it(deployed)
        try:
            args = ("verify", "--strict", "--skip", "fire.*")
            document = deployed.medbots.json(*args, code=FAILED)
            check_shape(document)
            found = failing(document)
            assert check in found
            assert fix in found[check]["fix"]
            assert found[check]["observed"]
            text = deployed.medbots("verify", "--only", check).expect(FAILED)
            assert f"fail  {check}" in text.out
        finally:
            mend()
        assert failing(deployed.medbots.json("verify", "--only", check)) == {}

    def test_a_missing_membership(self, deployed: Stage) -> None:
        """A bot without membership: found, though `$execute` still answers well."""
        bot = deployed.bot("embedding")
        admin = deployed.clinic.admin
        (membership,) = admin.find(f"ProjectMembership?profile=Bot/{bot['id']}")
        admin.delete(f"fhir/R4/ProjectMembership/{membership['id']}")
        document = deployed.medbots.json("verify", code=FAILED)
        assert "bots.embedding.membership" in failing(document)
        (fire,) = (each for each in document["checks"] if each["id"] == FIRE)
        assert fire["status"] == "skip"
        assert "bots.embedding.membership" in fire["reason"]
        # Only a super admin makes a membership; an admin makes the bot anew.
        admin.delete(f"fhir/R4/Bot/{bot['id']}")
        deployed.medbots("deploy").expect()
        deployed.medbots("subscriptions", "sync").expect()
        assert failing(deployed.medbots.json("verify")) == {}

    def test_the_feature_is_gone(self, deployed: Stage, super_admin: Session) -> None:
        """Without feature `bots`: found, with who can give it; the fire check is skipped."""
        projects.set_features(super_admin, deployed.clinic.id, ["cron"])
        try:
            document = deployed.medbots.json("verify", code=FAILED)
            check = failing(document)["project.feature.bots"]
            assert "super admin" in check["fix"]
            (fire,) = (each for each in document["checks"] if each["id"] == FIRE)
            assert fire["status"] == "skip"
        finally:
            projects.set_features(super_admin, deployed.clinic.id, ["bots"])
        assert failing(deployed.medbots.json("verify")) == {}

    def test_wait_repeats_until_it_passes(self, deployed: Stage) -> None:
        """`--wait` gives a fault time to go; a fault that stays still fails."""
        mend = breakages.inactive(deployed)
        try:
            args = ("verify", "--only", f"subscriptions.{KEY}.active", "--interval", "100ms")
            result = deployed.medbots(*args, "--wait", "300ms")
            assert result.code == FAILED
        finally:
            mend()

    @pytest.mark.parametrize(
        ("settings", "check", "words"),
        [
            ({"MEDBOTS_DATABASE_URL": None}, "database.reachable", "MEDBOTS_DATABASE_URL"),
            (
                {"MEDBOTS_DATABASE_URL": "postgresql://x:y@127.0.0.1:9/z"},
                "database.reachable",
                "127.0.0.1",
            ),
            ({"LLM_ROUTER_URL": "http://127.0.0.1:9"}, "router.reachable", "127.0.0.1:9"),
            ({"EMBEDDING_DIM": "512"}, "embeddings.settings", "512"),
            ({"MEDPLUM_ACCESS_TOKEN": "bad"}, "login.valid", "MEDPLUM_ACCESS_TOKEN"),
            ({"MEDPLUM_BASE_URL": "http://127.0.0.1:9/"}, "medplum.reachable", "127.0.0.1:9"),
        ],
        ids=["no-url", "database-down", "router-down", "dimension", "token", "server-down"],
    )
    def test_a_setting_that_is_wrong(
        self, deployed: Stage, settings: dict[str, str | None], check: str, words: str
    ) -> None:
        """A missing or wrong setting fails the check that needs it, and is named."""
        document = deployed.medbots.having(**settings).json("verify", code=FAILED)
        check_shape(document)
        found = failing(document)[check]
        assert words in " ".join((found["observed"], found["expected"], found["fix"]))

    def test_a_setting_that_is_alone_is_the_only_fault(self, deployed: Stage) -> None:
        """With another length than was deployed, one check fails; what rests on it is skipped."""
        args = ("verify", "--skip", "fire.cds-*,fire.billing-*,fire.approval-*")
        document = deployed.medbots.having(EMBEDDING_DIM="512").json(*args, code=FAILED)
        found = failing(document)
        assert list(found) == ["embeddings.settings"]
        assert found["embeddings.settings"]["fix"].startswith("set EMBEDDING_DIM=768")
        skipped = {one["id"]: one["reason"] for one in document["checks"] if "reason" in one}
        assert {"embeddings.index", "embeddings.rows", FIRE} <= skipped.keys()
        assert set(skipped.values()) == {"embeddings.settings failed", "left out by --skip"}

    def test_a_model_of_another_dimension(self, deployed: Stage) -> None:
        """A router whose model answers with other vectors breaks the contract."""
        with router.running("--dimension", "32") as url:
            other = deployed.medbots.having(LLM_ROUTER_URL=url, LLM_API_KEY=None)
            document = other.json("verify", "--only", "embeddings.contract", code=FAILED)
        assert "32" in failing(document)["embeddings.contract"]["observed"]

    def test_a_member_without_a_policy_is_a_warning(self, deployed: Stage) -> None:
        """A member without an AccessPolicy is a warning, which `--fail-on warning` fails."""
        member = projects.invite(deployed.clinic)
        try:
            args = ("verify", "--only", "login.policies")
            document = deployed.medbots.json(*args)
            (check,) = document["checks"]
            assert (check["status"], document["ok"]) == ("warn", True)
            strict = deployed.medbots(*args, "--fail-on", "warning")
            assert strict.code == FAILED
        finally:
            member.session.close()
            projects.remove_member(deployed.clinic, member.membership)


@pytest.fixture
def bare(stage: Stage, tmp_path: Path) -> Iterator[Stage]:
    """A namespace in which nothing is deployed."""
    with stage_module.of(stage.clinic, stage.target, tmp_path) as made:
        yield made


def test_where_nothing_stands(bare: Stage) -> None:
    """Before the first deploy: each bot fails, with the verb that makes it; the rest is skipped."""
    document = bare.medbots.json("verify", "--skip", "database.*,embeddings.*", code=FAILED)
    check_shape(document)
    found = failing(document)
    assert found["bots.embedding.exists"]["fix"].startswith("medbots deploy")
    (trigger,) = (
        each for each in document["checks"] if each["id"] == f"subscriptions.{KEY}.exists"
    )
    assert (trigger["status"], trigger["reason"]) == ("skip", "bots.embedding.exists failed")
