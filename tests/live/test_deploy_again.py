"""`deploy` over what was there before, after an interruption, beside another, without the right."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import gate, medplum, projects
from tests.live import stage as stage_module
from tests.live.medplum import Session
from tests.live.plans import BOTS, change_of, code_of, manifest_name, ours, to_do
from tests.live.stage import Stage

NOT_ALLOWED = 4
INTERRUPTED = 130


@pytest.fixture
def untouched(stage: Stage, tmp_path: Path) -> Iterator[Stage]:
    """The stage's project under another namespace, in which nothing is deployed."""
    with stage_module.of(stage.clinic, stage.target, tmp_path) as made:
        yield made


class TestAdoption:
    """Bots that were there before medbots."""

    def test_a_bot_of_the_same_name(self, untouched: Stage) -> None:
        """One bot of our name without our identifier is taken over, with its id, and said."""
        name = manifest_name(untouched, "embedding")
        admin, clinic = untouched.clinic.admin, untouched.clinic
        answer = admin.post(f"admin/projects/{clinic.id}/bot", json={"name": name})
        theirs = medplum.expect(answer, 201)
        plan = untouched.medbots.json("plan")
        change = change_of(plan, "bot", "embedding")
        assert (change["action"], change["id"]) == ("adopt", theirs["id"])
        text = untouched.medbots("deploy").expect()
        assert "adopt" in text.out
        assert untouched.bot("embedding")["id"] == theirs["id"]
        assert code_of(untouched, "embedding") == ours(untouched, "embedding")

    def test_two_bots_of_the_same_name(self, untouched: Stage) -> None:
        """Two of our name: medbots does not guess, and writes nothing."""
        name = manifest_name(untouched, "embedding")
        admin, clinic = untouched.clinic.admin, untouched.clinic
        made = [
            medplum.expect(admin.post(f"admin/projects/{clinic.id}/bot", json={"name": name}), 201)
            for _ in range(2)
        ]
        try:
            result = untouched.medbots("deploy")
            assert result.code == 1
            assert all(each["id"] in result.err for each in made)
            assert admin.find(f"Bot?identifier={untouched.namespace}/bot|") == []
        finally:
            for each in made:
                for one in admin.find(f"ProjectMembership?profile=Bot/{each['id']}"):
                    admin.delete(f"fhir/R4/ProjectMembership/{one['id']}")
                admin.delete(f"fhir/R4/Bot/{each['id']}")


class TestInterrupted:
    """A run that ends in the middle."""

    @pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT], ids=["killed", "ctrl-c"])
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/AccessPolicy"),
            ("POST", "/Binary"),
            ("POST", "/admin/projects/.*/bot"),
            ("PATCH", "/Bot/"),
        ],
        ids=["policy", "binary", "bot", "bot-fields"],
    )
    def test_the_next_run_completes_it(
        self, untouched: Stage, method: str, path: str, end: signal.Signals
    ) -> None:
        """Ended when the server has written and we do not know it: nothing is there twice.

        Ctrl-C is exit 130 and says so; then the next run completes what is missing.
        """
        with gate.before(untouched.target.base_url, method, path) as closed:
            slow = untouched.medbots.having(MEDPLUM_BASE_URL=closed.url)
            with slow.started("deploy") as process:
                closed.wait()
                process.send_signal(end)
                _, err = process.communicate(timeout=gate.PATIENCE)
        if end is signal.SIGINT:
            assert process.returncode == INTERRUPTED
            assert "Interrupted" in err
        else:
            assert process.returncode == -end
        assert "Traceback" not in err
        done = untouched.medbots.json("deploy")
        assert done["summary"]["failed"] == 0
        admin = untouched.clinic.admin
        for key in BOTS:
            bot = untouched.bot(key)
            assert bot["timeout"] == 30
            assert code_of(untouched, key) == ours(untouched, key)
            assert len(admin.find(f"Bot?name:exact={manifest_name(untouched, key)}")) == 1
            assert len(admin.find(f"ProjectMembership?profile=Bot/{bot['id']}")) == 1
            assert len(admin.find(f"AccessPolicy?_tag={untouched.namespace}/policy|{key}")) == 1
        assert to_do(untouched.medbots.json("deploy")) == []


def test_two_runs_at_once_make_each_thing_once(untouched: Stage) -> None:
    """Two deploys at the same time: neither makes a second bot, and all is as it should be."""
    with (
        untouched.medbots.started("deploy") as first,
        untouched.medbots.started("deploy") as second,
    ):
        ends = [each.communicate(timeout=gate.PATIENCE)[1] for each in (first, second)]
    assert not any("Traceback" in each for each in ends), ends
    admin = untouched.clinic.admin
    for key in BOTS:
        assert len(admin.find(f"Bot?name:exact={manifest_name(untouched, key)}")) == 1, ends
        bot = untouched.bot(key)
        assert len(admin.find(f"ProjectMembership?profile=Bot/{bot['id']}")) == 1
        assert len(admin.find(f"AccessPolicy?_tag={untouched.namespace}/policy|{key}")) == 1
    untouched.medbots("deploy").expect()
    assert to_do(untouched.medbots.json("deploy")) == []


class TestRights:
    """What a login may not do."""

    def test_a_member_is_told(self, untouched: Stage) -> None:
        """A member who is no admin cannot make bots: exit 4, who can, and nothing is written."""
        member = projects.invite(untouched.clinic)
        token = str(member.session.headers["Authorization"]).removeprefix("Bearer ")
        try:
            result = untouched.medbots.having(MEDPLUM_ACCESS_TOKEN=token)("deploy")
            assert result.code == NOT_ALLOWED
            assert "project admin" in result.err
            admin, space = untouched.clinic.admin, untouched.namespace
            assert admin.find(f"AccessPolicy?_tag={space}/policy|") == []
            assert admin.find(f"Bot?identifier={space}/bot|") == []
        finally:
            member.session.close()
            projects.remove_member(untouched.clinic, member.membership)

    def test_the_feature_is_missing(
        self, deployed: Stage, super_admin: Session, tmp_path: Path
    ) -> None:
        """Without feature `bots` an admin is told who can give it, and nothing is written."""
        clinic = projects.make_project(super_admin, "featureless")
        try:
            with stage_module.of(clinic, deployed.target, tmp_path) as bare:
                result = bare.medbots("deploy")
                assert result.code == NOT_ALLOWED
                assert "super admin" in result.err
                assert clinic.admin.find("Bot") == []
                assert clinic.admin.find("AccessPolicy") == []
                document = bare.medbots.json("plan", code=NOT_ALLOWED)
                assert document["error"]["code"] == "not-allowed"
        finally:
            projects.remove_project(super_admin, clinic)
