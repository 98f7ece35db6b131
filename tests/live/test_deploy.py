"""`plan` and `deploy` on a running server."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.live import medplum
from tests.live import stage as stage_module
from tests.live.plans import BOTS, CHANGES, change_of, check_shape, code_of, ours, to_do, versions
from tests.live.stage import Stage

NOT_ALLOWED = 4
JAVASCRIPT = {"Content-Type": "application/javascript"}
OTHER_CODE = "exports.handler = async () => 'not ours';\n"


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

    def test_code_behind_another_url_is_mended(self, deployed: Stage) -> None:
        """A URL that leads elsewhere beside the old hash and digest is found in two requests."""
        bot = deployed.bot("embedding")
        admin = deployed.clinic.admin
        answer = admin.post("fhir/R4/Binary", content=OTHER_CODE.encode(), headers=JAVASCRIPT)
        other = medplum.expect(answer, httpx.codes.CREATED)
        url = {"op": "replace", "path": "/executableCode/url", "value": f"Binary/{other['id']}"}
        medplum.expect(admin.change(f"fhir/R4/Bot/{bot['id']}", [url]))
        plan = deployed.medbots.json("plan", "--detailed-exitcode", code=CHANGES)
        assert to_do(plan) == [("bot", "embedding", "update")]
        assert plan["requests"] == 2
        deployed.medbots.json("deploy")
        assert code_of(deployed, "embedding") == ours(deployed, "embedding")
        assert to_do(deployed.medbots.json("plan", "--detailed-exitcode")) == []

    def test_code_written_anew_in_its_place_is_mended(self, deployed: Stage) -> None:
        """Other bytes in the same file show only to who reads them: --strict does."""
        bot = deployed.bot("embedding")
        file = bot["executableCode"]["url"].partition("?")[0].split("/")[-2]
        path = f"fhir/R4/Binary/{file}"
        content = OTHER_CODE.encode()
        medplum.expect(deployed.clinic.admin.put(path, content=content, headers=JAVASCRIPT))
        assert code_of(deployed, "embedding") != ours(deployed, "embedding")
        done = deployed.medbots.json("deploy", "--strict")
        assert to_do(done) == [("bot", "embedding", "update")]
        assert code_of(deployed, "embedding") == ours(deployed, "embedding")

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
