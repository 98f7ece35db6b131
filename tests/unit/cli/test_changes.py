"""The verbs that change a project: shapes, words and exit codes, over the mock transport."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from medbots import __main__ as boundary
from medbots import config
from medbots.cli import wiring
from medbots.medplum import auth, client, sessions
from tests.support import specs
from tests.support.medplum_transport import Medplum

MANIFEST = """\
version: 1
namespace: urn:medbots
bots:
  embedding:
    name: Embedding Bot
    source: embedding.ts
    policy: [{resourceType: Observation, interaction: [read]}]
    secrets: [DATABASE_URL, LLM_ROUTER_URL]
  semantic-search:
    name: Semantic Search Bot
    source: embedding.ts
    runAsUser: true
subscriptions:
  embedding-condition: {name: Embedding - Condition, criteria: Condition, bot: embedding}
"""


@pytest.fixture
def medplum(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Medplum:
    """A project behind the command line, and a manifest of two bots in the current folder."""
    found = Medplum()

    @asynccontextmanager
    async def connected(settings: config.Settings) -> AsyncIterator[client.Client]:
        store = sessions.Sessions(tmp_path / "state")
        async with auth.connect(settings, store, transport=found.transport()) as one:
            yield one

    (tmp_path / "medbots.yaml").write_text(MANIFEST)
    (tmp_path / "embedding.ts").write_text("export const handler = 1;")
    for name in config.VARIABLES.values():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MEDBOTS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("MEDPLUM_ACCESS_TOKEN", "token")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(wiring, "connected", connected)
    monkeypatch.setattr(
        wiring, "bundles", lambda found: {bot.key: specs.bundle(bot.key) for bot in found.bots}
    )
    return found


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, Any, str]:
    """Run a verb with JSON; return exit code, document and stderr."""
    capsys.readouterr()
    code = boundary.run([*args, "--format", "json"])
    captured = capsys.readouterr()
    return code, json.loads(captured.out), captured.err


@pytest.mark.usefixtures("medplum")
def test_the_contract_of_deploy(capsys: pytest.CaptureFixture[str]) -> None:
    """A first deploy prints each change with its end, and the counts."""
    code, found, _ = run(capsys, "deploy")
    assert code == 0
    assert found["project"] == {"id": "p1", "name": "Clinic"}
    assert found["dryRun"] is False
    ends = {(one["kind"], one["key"]): (one["action"], one["status"]) for one in found["changes"]}
    assert ends["bot", "embedding"] == ("create", "done")
    assert ends["membership", "semantic-search"] == ("create", "done")
    assert ends["secret", "DATABASE_URL"] == ("create", "skipped")
    assert ends["feature", "bots"] == ("unchanged", "done")
    bot = next(one for one in found["changes"] if one["kind"] == "bot")
    assert bot["digest"].startswith("sha256:")
    assert bot["id"]
    assert set(found["summary"]) == {
        "create",
        "update",
        "adopt",
        "delete",
        "unchanged",
        "skipped",
        "failed",
    }
    assert isinstance(found["requests"], int)
    assert isinstance(found["durationMs"], int)
    secret = next(one for one in found["changes"] if one["key"] == "DATABASE_URL")
    assert "medbots db init" in secret["reason"]


def test_deploy_then_sync_then_nothing(
    medplum: Medplum, capsys: pytest.CaptureFixture[str]
) -> None:
    """After deploy and sync a plan has nothing to do, in two requests, and exits with 0."""
    assert run(capsys, "deploy")[0] == 0
    assert run(capsys, "subscriptions", "sync")[0] == 0
    writes = medplum.writes
    code, found, _ = run(capsys, "plan", "--detailed-exitcode")
    assert (code, found["requests"], medplum.writes) == (0, 2, writes)
    assert found["dryRun"] is True


@pytest.mark.parametrize(
    "args", [("plan",), ("deploy", "--dry-run"), ("deploy", "--dry-run", "--only", "embed*")]
)
def test_a_dry_run_writes_nothing(
    medplum: Medplum, args: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """A dry run plans, exits with 2 only when asked in detail, and changes nothing."""
    assert run(capsys, *args)[0] == 0
    code, found, _ = run(capsys, *args, "--detailed-exitcode")
    assert code == 2
    assert medplum.writes == 0
    statuses = {one["status"] for one in found["changes"]}
    assert statuses == {"planned", "skipped"}


def test_partly_applied(medplum: Medplum, capsys: pytest.CaptureFixture[str]) -> None:
    """A failure in the middle is exit 3 with the whole shape; the next run completes it."""
    medplum.fail = frozenset({5})
    code, found, _ = run(capsys, "deploy", "--jobs", "1")
    assert code == 3
    assert found["summary"]["failed"] >= 1
    assert found["error"]["code"] == "partly-applied"
    assert any(one["status"] == "failed" and one["error"] for one in found["changes"])
    medplum.fail = frozenset()
    assert run(capsys, "deploy")[0] == 0
    assert run(capsys, "deploy", "--dry-run", "--detailed-exitcode")[0] == 0


def test_an_edit_in_between_is_kept_and_the_plan_made_anew(
    medplum: Medplum, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody else writes between the read and the write stays, and the run succeeds."""
    assert run(capsys, "deploy")[0] == 0
    bot = next(one for one in medplum.of("Bot") if one["name"] == "Embedding Bot")
    bot["timeout"] = 7
    kept, patch = {"system": "urn:theirs", "value": "7"}, medplum._patch

    def edited_first(live: dict[str, Any], operations: list[dict[str, Any]]) -> Any:
        monkeypatch.setattr(medplum, "_patch", patch)
        bot["identifier"].append(kept)
        medplum._new_version(bot)
        return patch(live, operations)

    monkeypatch.setattr(medplum, "_patch", edited_first)
    code, found, _ = run(capsys, "deploy")
    assert (code, found["summary"]["update"], found["summary"]["failed"]) == (0, 1, 0)
    assert (bot["timeout"], kept in bot["identifier"]) == (30, True)
    ended = next(one for one in found["changes"] if one["id"] == bot["id"])
    assert (ended["action"], ended["status"]) == ("update", "done")


def test_a_conflict_that_never_ends_is_told(
    medplum: Medplum, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After three attempts the run gives up and says who was faster."""
    assert run(capsys, "deploy")[0] == 0
    bot = next(one for one in medplum.of("Bot") if one["name"] == "Embedding Bot")
    bot["timeout"] = 7
    patch = medplum._patch

    def edited(live: dict[str, Any], operations: list[dict[str, Any]]) -> Any:
        medplum._new_version(live)
        return patch(live, operations)

    monkeypatch.setattr(medplum, "_patch", edited)
    writes = medplum.writes
    code, found, _ = run(capsys, "deploy")
    assert (code, found["error"]["code"], medplum.writes - writes) == (1, "conflict", 3)


def test_nothing_applied_is_a_plain_failure(
    medplum: Medplum, capsys: pytest.CaptureFixture[str]
) -> None:
    """When not one change was written, the failure's own code is the exit code."""
    medplum.fail = frozenset(range(1, 100))
    code, found, _ = run(capsys, "deploy")
    assert (code, found["error"]["code"]) == (1, "server-error")


def test_missing_feature(medplum: Medplum, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the feature `bots` nothing is written, and the one who can is named."""
    medplum.project["features"] = ["cron"]
    code, found, _ = run(capsys, "deploy")
    assert (code, medplum.writes) == (4, 0)
    assert "super admin" in found["error"]["message"]
    assert "medbots project doctor --target p1 --fix" in found["error"]["hint"]
    medplum.super_admin = True
    assert run(capsys, "deploy")[0] == 0
    assert medplum.project["features"] == ["cron", "bots"]


def test_a_super_admin_is_warned(medplum: Medplum, capsys: pytest.CaptureFixture[str]) -> None:
    """Their login works in a project whose bots read all others: seldom where bots are meant."""
    assert boundary.run(["plan"]) == 0
    assert "super admin" not in capsys.readouterr().err
    medplum.super_admin = True
    for verb in (["plan"], ["deploy"], ["subscriptions", "sync"]):
        assert boundary.run(verb) == 0
        assert "a bot in it can read every project" in capsys.readouterr().err
    assert boundary.run(["project", "doctor"]) == 0
    assert capsys.readouterr().err == ""


def test_project_doctor(medplum: Medplum, capsys: pytest.CaptureFixture[str]) -> None:
    """The doctor shows what lacks, exits with 1, and as a super admin gives it."""
    medplum._created({"resourceType": "Bot", "name": "Embedding Bot"})
    medplum.project["features"] = []
    assert run(capsys, "project", "doctor")[0] == 4
    medplum.super_admin = True
    code, found, _ = run(capsys, "project", "doctor")
    assert (code, found["error"]["code"]) == (1, "check-failed")
    lacking = {(one["kind"], one["key"]) for one in found["changes"]}
    assert lacking == {("feature", "bots"), ("membership", "embedding")}
    assert run(capsys, "project", "doctor", "--fix")[0] == 0
    assert run(capsys, "project", "doctor")[0] == 0
    assert len(medplum.of("ProjectMembership")) == 1


@pytest.mark.usefixtures("medplum")
def test_doctor_of_another_project_needs_a_super_admin(capsys: pytest.CaptureFixture[str]) -> None:
    """A project admin cannot look into another project."""
    code, found, _ = run(capsys, "project", "doctor", "--target", "p2")
    assert (code, found["error"]["code"]) == (4, "not-allowed")


@pytest.mark.parametrize(
    ("args", "said", "hint"),
    [
        (["deploy", "--only", "embedding-condition"], "no bot", "subscriptions sync"),
        (["subscriptions", "sync", "--only", "semantic-search"], "no subscription", "deploy"),
    ],
)
def test_only_what_the_verb_does_not_keep(
    medplum: Medplum, capsys: pytest.CaptureFixture[str], args: list[str], said: str, hint: str
) -> None:
    """A key of the other kind is a usage error, and not a success without work."""
    code, found, _ = run(capsys, *args)
    assert (code, medplum.writes) == (64, 0)
    assert said in found["error"]["message"]
    assert f"medbots {hint} --only" in found["error"]["hint"]
    assert run(capsys, "plan", "--only", args[-1])[0] == 0


def test_doctor_of_another_project(medplum: Medplum, capsys: pytest.CaptureFixture[str]) -> None:
    """The hint fixes the project that was looked at; one that is not there is named."""
    medplum.super_admin = True
    other = {"resourceType": "Project", "id": "p2", "name": "Other", "meta": {"versionId": "v0"}}
    medplum.resources["Project", "p2"] = other
    code, found, _ = run(capsys, "project", "doctor", "--target", "p2")
    assert (code, found["project"]) == (1, {"id": "p2", "name": "Other"})
    assert found["error"]["hint"] == "medbots project doctor --target p2 --fix"
    code, found, _ = run(capsys, "project", "doctor", "--target", "p3")
    assert (code, found["error"]["code"]) == (1, "not-found")
    assert "no project with the id 'p3'" in found["error"]["message"]


def test_what_a_member_cannot_see(medplum: Medplum, capsys: pytest.CaptureFixture[str]) -> None:
    """A doctor who may not look is not content; a plan says of what nothing is known."""
    assert run(capsys, "deploy")[0] == 0
    assert run(capsys, "subscriptions", "sync")[0] == 0
    medplum.admin = False
    code, found, _ = run(capsys, "project", "doctor")
    assert (code, found["error"]["code"]) == (4, "not-allowed")
    assert "only a project admin can see memberships" in found["error"]["message"]
    assert boundary.run(["plan"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    unknown = [row[1] for row in rows if row[:1] == ["unknown"]]
    assert set(unknown) == {"feature", "secret", "membership"}


def test_expect_project(medplum: Medplum, capsys: pytest.CaptureFixture[str]) -> None:
    """A login in another project than expected is refused before anything is read."""
    code, found, _ = run(capsys, "deploy", "--expect-project", "production")
    assert (code, medplum.writes) == (4, 0)
    assert "production" in found["error"]["message"]
    assert run(capsys, "deploy", "--expect-project", "p1")[0] == 0


def test_expect_project_of_an_unset_variable(
    medplum: Medplum, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty value expects nothing in particular, and is refused rather than obeyed."""
    assert boundary.run(["deploy", "--expect-project", ""]) == 64
    assert "its value is empty" in capsys.readouterr().err
    assert medplum.writes == 0


@pytest.mark.usefixtures("medplum")
def test_only_that_matches_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A glob that matches nothing is a usage error with the nearest key."""
    code, found, _ = run(capsys, "deploy", "--only", "embeding")
    assert code == 64
    assert "embedding" in found["error"]["hint"]


@pytest.mark.usefixtures("medplum")
def test_only_several_times(capsys: pytest.CaptureFixture[str]) -> None:
    """A repeated --only adds to the first, it does not replace it."""
    for args in (("--only", "embedding", "--only", "sem*"), ("--only", "embedding,sem*")):
        _, found, _ = run(capsys, "deploy", "--dry-run", *args)
        bots = [one["key"] for one in found["changes"] if one["kind"] == "bot"]
        assert bots == ["embedding", "semantic-search"]


@pytest.mark.usefixtures("medplum")
def test_sync_before_deploy(capsys: pytest.CaptureFixture[str]) -> None:
    """Subscriptions without their bot are refused, with the command that helps."""
    code, found, _ = run(capsys, "subscriptions", "sync")
    assert (code, found["error"]["hint"]) == (4, "medbots deploy")


@pytest.mark.usefixtures("medplum")
def test_a_list_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Where no subscription runs a bot, the list says so; for machines it is empty."""
    assert run(capsys, "subscriptions", "list")[1] == []
    assert boundary.run(["subscriptions", "list"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "no subscription of this project runs a bot: medbots subscriptions sync\n"
    )


@pytest.mark.usefixtures("medplum")
def test_the_contract_of_subscriptions_list(capsys: pytest.CaptureFixture[str]) -> None:
    """The list tells ours from others'."""
    run(capsys, "deploy")
    run(capsys, "subscriptions", "sync")
    code, found, _ = run(capsys, "subscriptions", "list")
    assert code == 0
    assert [{**one, "id": ""} for one in found] == [
        {
            "key": "embedding-condition",
            "name": "Embedding - Condition",
            "criteria": "Condition",
            "bot": "embedding",
            "status": "active",
            "id": "",
            "owned": True,
        }
    ]


@pytest.mark.usefixtures("medplum")
def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    """People get a table of what changes and one line that sums it up; no secret's value."""
    assert boundary.run(["deploy"]) == 0
    first = capsys.readouterr().out
    assert "Embedding Bot" in first
    assert "create" in first
    assert "localhost:8080" not in first
    assert boundary.run(["deploy"]) == 0
    second = capsys.readouterr().out.strip().splitlines()
    assert second[-1].startswith("nothing to do: ")
    assert "(2 requests" in second[-1]


def test_text_of_what_was_not_done(medplum: Medplum, capsys: pytest.CaptureFixture[str]) -> None:
    """The last line never says done of what was not: of a refused plan, or of a part of one."""
    medplum.project["features"] = []
    assert boundary.run(["deploy"]) == 4
    assert "none of 9 changes done: 9 create, " in capsys.readouterr().out
    assert boundary.run(["plan"]) == 4
    out = capsys.readouterr().out
    assert "plan: " in out
    assert "(1 request, " in out
    medplum.project["features"] = ["bots"]
    medplum.fail = frozenset({5})
    assert boundary.run(["deploy", "--jobs", "1"]) == 3
    assert re.search(r"\n[1-7] of 8 changes done: 8 create", capsys.readouterr().out)


@pytest.mark.usefixtures("medplum")
def test_an_invalid_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A broken manifest is exit 65, before any login."""
    (tmp_path / "medbots.yaml").write_text(MANIFEST.replace("criteria: Condition", "criteria: C"))
    code, found, _ = run(capsys, "deploy")
    assert (code, found["error"]["code"]) == (65, "manifest-invalid")
