"""`plan` and `deploy` on a running server."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import gate, medplum, projects
from tests.live import stage as stage_module
from tests.live.medplum import Json, Session
from tests.live.stage import Stage

BOTS = ("embedding", "semantic-search")
CHANGES = 2
NOT_ALLOWED = 4
INTERRUPTED = 130
ACTIONS = {"create", "update", "adopt", "delete", "unchanged"}
KINDS = {"bot", "membership", "device", "subscription", "secret", "feature", "policy"}
OTHER_CODE = "exports.handler = async () => 'not ours';\n"


def check_shape(document: Json, *, dry_run: bool) -> None:
    """Assert the contract's JSON of a plan, to which more may be added."""
    assert set(document) >= {
        "project",
        "dryRun",
        "changes",
        "summary",
        "requests",
        "durationMs",
    }
    assert set(document["project"]) >= {"id", "name"}
    assert document["dryRun"] is dry_run
    assert set(document["summary"]) >= {*ACTIONS, "failed"}
    statuses = {"planned", "skipped"} if dry_run else {"done", "failed", "skipped"}
    for change in document["changes"]:
        wanted = {"kind", "key", "name", "action", "id", "fields", "digest", "status"}
        assert wanted <= set(change)
        assert change["kind"] in KINDS
        assert change["action"] in ACTIONS
        assert change["status"] in statuses
    counts = [each["action"] for each in document["changes"] if each["status"] != "skipped"]
    for action in ACTIONS:
        counted = counts.count(action)
        assert document["summary"][action] == counted
    assert isinstance(document["requests"], int)
    assert isinstance(document["durationMs"], int)


def change_of(document: Json, kind: str, key: str) -> Json:
    """Return a change of a plan; there must be one."""
    changes: list[Json] = document["changes"]
    (found,) = (each for each in changes if (each["kind"], each["key"]) == (kind, key))
    return found


def to_do(document: Json) -> list[tuple[str, str, str]]:
    """Return what a plan would do, or did."""
    return [
        (each["kind"], each["key"], each["action"])
        for each in document["changes"]
        if each["action"] != "unchanged" and each["status"] != "skipped"
    ]


def versions(stage: Stage) -> dict[str, str]:
    """Return the version of everything that medbots may have written in the project."""
    admin, space = stage.clinic.admin, stage.namespace
    bots = [stage.bot(key) for key in BOTS]
    profiles = ",".join(f"Bot/{each['id']}" for each in bots)
    found = [
        *bots,
        *admin.find(f"ProjectMembership?profile={profiles}"),
        *admin.find(f"Subscription?url={profiles}&_count=100"),
        *admin.find(f"AccessPolicy?_tag={space}/policy|"),
        *admin.find(f"Device?identifier={space}/device|"),
        admin.read(f"Project/{stage.clinic.id}"),
    ]
    return {f"{each['resourceType']}/{each['id']}": each["meta"]["versionId"] for each in found}


class TestFirst:
    """On a project where nothing is yet. The tests of this class build on one another."""

    def test_plan_changes_nothing(self, stage: Stage) -> None:
        """`plan` shows every bot as `create`; with --detailed-exitcode it exits 2."""
        plan = stage.medbots.json("plan", "--detailed-exitcode", code=CHANGES)
        check_shape(plan, dry_run=True)
        assert plan["project"] == {"id": stage.clinic.id, "name": stage.clinic.name}
        for key in BOTS:
            change = change_of(plan, "bot", key)
            assert (change["action"], change["status"], change["id"]) == ("create", "planned", None)
            assert change["digest"].startswith("sha256:")
        found = stage.clinic.admin.find(f"Bot?identifier={stage.namespace}/bot|")
        assert found == []

    def test_deploy_does_it(self, stage: Stage) -> None:
        """`deploy` makes bots with membership, policy, identifier, time limit and code."""
        done = stage.medbots.json("deploy")
        check_shape(done, dry_run=False)
        assert done["summary"]["failed"] == 0
        for key in BOTS:
            change = change_of(done, "bot", key)
            assert (change["action"], change["status"]) == ("create", "done")
            bot = stage.bot(key)
            assert bot["id"] == change["id"]
            assert bot["runtimeVersion"] == "vmcontext"
            assert bot["timeout"] == 30
            assert bot.get("runAsUser", False) is (key == "semantic-search")
            (membership,) = stage.clinic.admin.find(f"ProjectMembership?profile=Bot/{bot['id']}")
            policy = stage.clinic.admin.read(membership["accessPolicy"]["reference"])
            assert policy["meta"]["tag"][0]["code"] == key

    def test_the_secret_of_db_init_waits(self, stage: Stage) -> None:
        """Before `db init`, the secret DATABASE_URL is skipped, and the reason names the verb."""
        change = change_of(stage.medbots.json("deploy"), "secret", "DATABASE_URL")
        assert change["status"] == "skipped"
        assert "medbots db init" in change["reason"]

    def test_a_second_one_is_two_requests(self, stage: Stage) -> None:
        """Nothing to do: 2 requests, no write, exit 0 also with --detailed-exitcode."""
        stage.medbots("db", "init").expect()
        stage.medbots("deploy").expect()
        before = versions(stage)
        done = stage.medbots.json("deploy")
        assert to_do(done) == []
        assert done["requests"] == 2
        assert {each["action"] for each in done["changes"]} == {"unchanged"}
        assert versions(stage) == before
        plan = stage.medbots.json("deploy", "--dry-run", "--detailed-exitcode")
        assert to_do(plan) == []

    def test_text_tells_the_same(self, stage: Stage) -> None:
        """Without --format json: one line says that there is nothing to do."""
        result = stage.medbots("deploy").expect()
        assert result.out.startswith("nothing to do:")
        assert "2 requests" in result.out


class TestDrift:
    """What others changed behind our back."""

    def test_code_is_mended(self, deployed: Stage) -> None:
        """`$deploy` by somebody else is found, though our digest is still there, and mended."""
        bot = deployed.bot("embedding")
        path = f"fhir/R4/Bot/{bot['id']}/$deploy"
        body = {"code": OTHER_CODE, "filename": "index.js"}
        medplum.expect(deployed.clinic.admin.post(path, json=body))
        plan = deployed.medbots.json("plan", "--detailed-exitcode", code=CHANGES)
        assert to_do(plan) == [("bot", "embedding", "update")]
        assert change_of(plan, "bot", "embedding")["fields"] == ["executableCode"]
        done = deployed.medbots.json("deploy")
        assert to_do(done) == [("bot", "embedding", "update")]
        assert code_of(deployed, "embedding") == ours(deployed, "embedding")
        assert to_do(deployed.medbots.json("plan", "--detailed-exitcode")) == []

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("timeout", 5),
            ("name", "Renamed by somebody"),
            ("description", "Something else"),
            ("runtimeVersion", "awslambda"),
            ("runAsUser", True),
        ],
    )
    def test_a_field_is_mended(self, deployed: Stage, field: str, value: object) -> None:
        """A managed field that somebody changed is named and put back; the code stays."""
        bot = deployed.bot("embedding")
        deployed.clinic.admin.update({**bot, field: value})
        done = deployed.medbots.json("deploy")
        assert change_of(done, "bot", "embedding")["fields"] == [field]
        after = deployed.bot("embedding")
        assert after.get(field, False) == bot.get(field, False)
        assert code_of(deployed, "embedding") == ours(deployed, "embedding")

    def test_other_fields_are_left_alone(self, deployed: Stage) -> None:
        """What medbots does not manage, people may change: an extension stays."""
        bot = deployed.bot("embedding")
        extension = {"url": "urn:medbots:live/extension", "valueString": "kept"}
        both = [*bot.get("extension", []), extension]
        deployed.clinic.admin.update({**bot, "extension": both, "timeout": 5})
        deployed.medbots("deploy").expect()
        assert extension in deployed.bot("embedding")["extension"]
        assert deployed.bot("embedding")["timeout"] == 30

    def test_a_wider_policy_is_narrowed(self, deployed: Stage) -> None:
        """An AccessPolicy that somebody widened is put back."""
        query = f"AccessPolicy?_tag={deployed.namespace}/policy|embedding"
        (policy,) = deployed.clinic.admin.find(query)
        wider = [*policy["resource"], {"resourceType": "*"}]
        deployed.clinic.admin.update({**policy, "resource": wider})
        done = deployed.medbots.json("deploy")
        assert to_do(done) == [("policy", "embedding", "update")]
        (after,) = deployed.clinic.admin.find(query)
        assert after["resource"] == policy["resource"]

    def test_a_membership_without_its_policy(self, deployed: Stage) -> None:
        """A membership that lost its policy gets it back."""
        bot = deployed.bot("embedding")
        query = f"ProjectMembership?profile=Bot/{bot['id']}"
        (membership,) = deployed.clinic.admin.find(query)
        bare = {key: value for key, value in membership.items() if key != "accessPolicy"}
        deployed.clinic.admin.update(bare)
        done = deployed.medbots.json("deploy")
        assert to_do(done) == [("membership", "embedding", "update")]
        (after,) = deployed.clinic.admin.find(query)
        assert after["accessPolicy"] == membership["accessPolicy"]

    def test_other_secrets_are_kept(self, deployed: Stage) -> None:
        """A secret that somebody changed is put back, and what others store is kept."""
        path = f"admin/projects/{deployed.clinic.id}/secrets"
        before = deployed.secrets()
        changed = {**before, "LLM_ROUTER_URL": "http://elsewhere.example", "THEIRS": "kept"}
        given = [{"name": name, "valueString": value} for name, value in changed.items()]
        medplum.expect(deployed.clinic.admin.post(path, json=given))
        done = deployed.medbots.json("deploy")
        assert to_do(done) == [("secret", "LLM_ROUTER_URL", "update")]
        assert deployed.secrets() == {**before, "THEIRS": "kept"}

    def test_a_changed_manifest_is_deployed(self, deployed: Stage, tmp_path: Path) -> None:
        """A new time limit in the manifest is an update of that bot alone."""
        change = {"bots": {"semantic-search": {"timeout": 20}}}
        manifest = stage_module.change_manifest(deployed, tmp_path, change)
        done = deployed.medbots.with_manifest(manifest).json("deploy")
        assert to_do(done) == [("bot", "semantic-search", "update")]
        assert deployed.bot("semantic-search")["timeout"] == 20
        assert to_do(deployed.medbots.json("deploy")) == [("bot", "semantic-search", "update")]


class TestChoice:
    """What a person limits a run to."""

    def test_only(self, deployed: Stage) -> None:
        """`--only GLOB` names the bots that it concerns; nothing that matches is a usage error."""
        plan = deployed.medbots.json("deploy", "--dry-run", "--only", "semantic*")
        assert {each["key"] for each in plan["changes"] if each["kind"] == "bot"} == {
            "semantic-search"
        }
        result = deployed.medbots("deploy", "--only", "embeding").expect(64)
        assert "did you mean embedding?" in result.err

    @pytest.mark.parametrize("by", ["id", "name"])
    def test_the_expected_project(self, deployed: Stage, by: str) -> None:
        """`--expect-project` takes the project's id or name."""
        deployed.medbots("deploy", "--expect-project", getattr(deployed.clinic, by)).expect()

    def test_another_project_is_refused(self, deployed: Stage) -> None:
        """Any other project: exit 4, and nothing is written."""
        before = versions(deployed)
        result = deployed.medbots("deploy", "--expect-project", "Another Clinic")
        assert result.code == NOT_ALLOWED
        assert deployed.clinic.name in result.err
        assert versions(deployed) == before


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
    assert not any("Traceback" in each for each in ends)
    admin = untouched.clinic.admin
    for key in BOTS:
        assert len(admin.find(f"Bot?name:exact={manifest_name(untouched, key)}")) == 1
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


def code_of(stage: Stage, key: str) -> bytes:
    """Return the code that runs."""
    url = stage.bot(key)["executableCode"]["url"]
    return bytes(stage.clinic.admin.get(url).content)


def ours(stage: Stage, key: str) -> bytes:
    """Return the code that is here."""
    return (stage.manifest.parent / "dist" / f"{key}.js").read_bytes()


def manifest_name(stage: Stage, key: str) -> str:
    """Return a bot's name in the manifest of the stage."""
    mark = stage.namespace.rpartition(":")[2]
    names = {"embedding": "Embedding Bot", "semantic-search": "Semantic Search Bot"}
    return f"{names[key]} {mark}"
