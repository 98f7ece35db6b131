"""`approvals`: what waits, what is shown of it, and what is handed to the bot."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

import pytest
import typer

from tests.support import tasks
from tests.support.ward import PRACTITIONER, Ward
from tests.unit.cli.conftest import Medbots

DONE = {
    "success": True,
    "taskId": "t1",
    "status": "completed",
    "businessStatus": "executed",
    "executedResourceType": "DocumentReference",
    "executedResourceId": "d1",
    "provenanceId": "v1",
    "warnings": [],
}
REFUSED = {
    "success": False,
    "errorCode": "UNAUTHORIZED",
    "message": "The approver has no role that may approve this",
    "details": {"taskId": "t1", "reason": "ROLE_NOT_ALLOWED", "status": "requested"},
}


@pytest.fixture
def desk(ward: Ward) -> Ward:
    """A project with the two bots, and one Task that waits."""
    ward.answers = {"command-processor": {}, "approval-queue": DONE}
    tasks.task(ward)
    return ward


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Somebody at the terminal, and their answers."""
    answers: list[bool] = []
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "confirm", lambda *_, **__: answers.pop(0))
    return answers


class TestList:
    """`approvals list`."""

    def test_the_table(self, desk: Ward, medbots: Medbots) -> None:
        """Ids, codes and times; no name and no text of a record."""
        tasks.task(desk, "t2", "SuggestMedicationChange", dual=True, roles=("doctor", "chemist"))
        tasks.next_version(desk, 1, businessStatus=tasks.status("awaiting-second"))
        desk.resources = [desk.resources[0], desk.resources[2]]
        told = medbots("approvals", "list")
        rows = [line.split() for line in told.out.splitlines() if " p9 " in line]
        first = "t1 CreateEncounterNoteDraft p9 40 min in 23 h awaiting-approval practitioner"
        assert rows[0] == [*first.split(), "or", "nurse", "0.82"]
        second = "t2 SuggestMedicationChange p9 40 min in 23 h awaiting-second doctor"
        assert rows[1] == [*second.split(), "and", "chemist", "0.82"]
        assert tasks.CONTENT not in told.out + told.err

    def test_json(self, desk: Ward, medbots: Medbots) -> None:
        """An array; a Task whose time is over says so before any sweep."""
        tasks.task(desk, "t2", expires=timedelta(minutes=-1))
        first, second = medbots("approvals", "list", "--format", "json").json
        assert first == {
            "id": "t1",
            "command": "CreateEncounterNoteDraft",
            "patient": "Patient/p9",
            "encounter": "Encounter/e9",
            "requester": "Device/d1",
            "status": "requested",
            "state": "awaiting-approval",
            "authoredOn": first["authoredOn"],
            "expires": first["expires"],
            "confidence": 0.82,
            "roles": ["practitioner", "nurse"],
            "dual": False,
            "reasons": ["ALWAYS"],
            "results": [],
        }
        assert (second["status"], second["state"]) == ("requested", "expired")
        assert tasks.CONTENT not in str((first, second))

    def test_what_is_asked(self, desk: Ward, medbots: Medbots) -> None:
        """Open ones, unless all are wanted; each option is a search parameter."""
        medbots("approvals", "list")
        assert desk.asked("Task") == {
            "code": [f"{tasks.AI}|ai-approval"],
            "status": ["requested,in-progress,accepted,draft,received,ready,on-hold"],
            "_sort": ["-authored-on"],
            "_count": ["101"],
        }
        medbots(
            *("approvals", "list", "--all", "--mine", "--patient", "p9"),
            *("--command", "SuggestBillingCodes", "--limit", "1"),
        )
        assert desk.asked("Task") == {
            "code": [f"{tasks.AI}|ai-approval", f"{tasks.AI}|SuggestBillingCodes"],
            "patient": ["Patient/p9"],
            "requester": [PRACTITIONER],
            "_sort": ["-authored-on"],
            "_count": ["2"],
        }

    def test_nothing_waits(self, ward: Ward, medbots: Medbots) -> None:
        """An empty queue is said to be empty, and is no failure."""
        told = medbots("approvals", "list")
        assert (told.code, told.out, told.err) == (0, "", "nothing waits for approval\n")
        assert medbots("approvals", "list", "--format", "json").json == []

    def test_a_limit(self, desk: Ward, medbots: Medbots) -> None:
        """That there are more is said."""
        tasks.task(desk, "t2")
        told = medbots("approvals", "list", "--limit", "1")
        assert told.err == "the newest 1; --limit shows more\n"

    @pytest.mark.parametrize(
        ("by_hand", "words"),
        [
            ("accepted", "accepted by hand"),
            ("on-hold", "put aside: on hold"),
            ("ready", "put aside: ready"),
        ],
    )
    def test_what_people_set_by_hand(
        self, ward: Ward, medbots: Medbots, by_hand: str, words: str
    ) -> None:
        """A Task that somebody accepted or put aside is told in words, until its time is over."""
        tasks.task(ward, status=by_hand)
        tasks.task(ward, "t2", status=by_hand, expires=timedelta(minutes=-1))
        told = medbots("approvals", "list")
        shown = " ".join(told.out.split())
        assert f"in 23 h {words} practitioner" in shown
        assert " expired practitioner" in shown
        first, second = medbots("approvals", "list", "--format", "json").json
        assert (first["status"], first["state"]) == (by_hand, by_hand)
        assert (second["status"], second["state"]) == (by_hand, "expired")
        assert f"state         {words}, expires in 23 h" in medbots("approvals", "show", "t1").out

    def test_hardly_anything_known(self, ward: Ward, medbots: Medbots) -> None:
        """A Task that somebody made by hand is still a row."""
        coding = [{"system": tasks.AI, "code": "ai-approval"}]
        ward.add({"resourceType": "Task", "id": "odd", "status": "requested", "authoredOn": "x"})
        ward.add({"resourceType": "Task", "id": "odd2", "code": {"coding": coding}, "input": [{}]})
        told = medbots("approvals", "list")
        assert {"odd", "odd2"} <= set(told.out.split())

    @pytest.mark.parametrize(
        ("args", "words"),
        [
            (("--command", "SuggestBilingCodes"), "did you mean SuggestBillingCodes?"),
            (("--command", "x"), "commands: FlagAbnormalResult"),
            (("--patient", ""), "no id of a Patient"),
            (("--limit", "0"), "--limit"),
        ],
    )
    def test_mistakes(
        self, desk: Ward, medbots: Medbots, args: tuple[str, ...], words: str
    ) -> None:
        """Exit 64 before anything is asked."""
        told = medbots("approvals", "list", *args)
        assert (told.code, desk.searches) == (64, [])
        assert words in told.err


class TestShow:
    """`approvals show`."""

    def test_in_full(self, desk: Ward, medbots: Medbots) -> None:
        """The command, its sources, and each version with who wrote it."""
        tasks.next_version(
            desk,
            5,
            businessStatus=tasks.status("awaiting-second"),
            output=[tasks.approval("Practitioner/a", "practitioner")],
        )
        told = medbots("approvals", "show", "Task/t1")
        assert (told.code, told.err) == (0, "")
        assert told.out.startswith("CreateEncounterNoteDraft for Patient/p9\n")
        assert tasks.CONTENT in told.out
        assert "  sources       Observation/o1\n" in told.out
        assert "  confidence    0.82, uncalibrated\n" in told.out
        first, second = told.out.splitlines()[-2:]
        assert first.endswith(f"requested    awaiting-approval  {tasks.PROCESSOR}")
        assert second.endswith(
            f"requested    awaiting-second    {tasks.QUEUE}  "
            "approved by Practitioner/a (practitioner)"
        )

    def test_json(self, desk: Ward, medbots: Medbots) -> None:
        """The command as it was handed in, and as an approver changed it."""
        changed = tasks.canonical("CreateEncounterNoteDraft", {"content": "changed"})
        tasks.next_version(
            desk,
            5,
            status="rejected",
            statusReason={"text": "not like this"},
            output=[
                tasks.output("modified-command", valueString=changed),
                tasks.output("modified-command-sha256", valueString=tasks.digest(changed)),
                tasks.output("result", valueReference={"reference": "DocumentReference/d1"}),
            ],
        )
        found = medbots("approvals", "show", "t1", "--format", "json").json
        assert found["handedIn"]["parameters"]["content"] == tasks.CONTENT
        assert found["modified"]["parameters"] == {"content": "changed"}
        assert found["commandSha256"] == tasks.digest(changed)
        assert (found["status"], found["reason"]) == ("rejected", "not like this")
        assert found["results"] == ["DocumentReference/d1"]
        assert [one["by"] for one in found["history"]] == [tasks.PROCESSOR, tasks.QUEUE]
        assert found["warnings"] == []

    @pytest.mark.parametrize(
        ("author", "words"),
        [
            ("Practitioner/evil", "Practitioner/evil handed it in, and not the Command"),
            (None, "somebody handed it in, and not the Command"),
        ],
    )
    def test_a_forged_task(
        self, ward: Ward, medbots: Medbots, author: str | None, words: str
    ) -> None:
        """Whoever else made it is named."""
        ward.answers["command-processor"] = {}
        tasks.task(ward, author=author)
        told = medbots("approvals", "show", "t1")
        assert (told.code, words in told.err) == (0, True)

    def test_a_tampered_task(self, desk: Ward, medbots: Medbots) -> None:
        """The oldest version's command is shown, and that it was changed since."""
        text = tasks.canonical("CreateEncounterNoteDraft", {"content": "evil"})
        inputs = [dict(one) for one in desk.resources[0]["input"]]
        inputs[0]["valueString"] = text
        inputs[1]["valueString"] = tasks.digest(text)
        tasks.next_version(desk, 5, "Practitioner/evil", input=inputs)
        told = medbots("approvals", "show", "t1")
        assert "warning: its command was changed since" in told.err
        assert ('"evil"' in told.out, tasks.CONTENT in told.out) == (False, True)

    @pytest.mark.parametrize("view", [("list",), ("show", "t1"), ("approve", "t1", "--yes")])
    @pytest.mark.parametrize("as_json", [False, True])
    def test_what_anybody_may_write(
        self, desk: Ward, medbots: Medbots, view: tuple[str, ...], as_json: bool
    ) -> None:
        """A description, and a display beside a reference, are nobody's word, and are not shown."""
        lie = "only a harmless lie"
        made = desk.resources[0]
        named = {name: made[name] | {"display": lie} for name in ("for", "encounter", "requester")}
        code = made["code"] | {"text": lie}
        tasks.next_version(
            desk, 5, "Practitioner/evil", description=lie, code=code, note=[{"text": lie}], **named
        )
        told = medbots("approvals", *view, *(("--format", "json") if as_json else ()))
        assert told.code == 0
        assert lie not in told.out + told.err

    def test_a_forged_change(self, desk: Ward, medbots: Medbots) -> None:
        """A change that the Approval Queue Bot did not write is not shown, and is warned of."""
        harmless = tasks.canonical("CreateEncounterNoteDraft", {"content": "harmless"})
        digest = str(desk.resources[0]["input"][1]["valueString"])
        tasks.next_version(
            desk,
            5,
            "Practitioner/evil",
            output=[
                tasks.output("modified-command", valueString=harmless),
                tasks.output("modified-command-sha256", valueString=digest),
                tasks.output("approval", valueReference={"reference": "Practitioner/a"}),
            ],
        )
        told = medbots("approvals", "show", "t1")
        assert "harmless" not in told.out
        assert "approved by" not in told.out.splitlines()[3]
        assert "somebody else than the Approval Queue Bot wrote approvals" in told.err

    def test_a_change_with_another_hash(self, desk: Ward, medbots: Medbots) -> None:
        """A change whose hash is another's is no change."""
        changed = tasks.canonical("CreateEncounterNoteDraft", {"content": "changed"})
        tasks.next_version(
            desk,
            5,
            output=[
                tasks.output("modified-command", valueString=changed),
                tasks.output("modified-command-sha256", valueString="0" * 64),
            ],
        )
        found = medbots("approvals", "show", "t1", "--format", "json").json
        assert found["modified"] is None
        assert found["warnings"]

    def test_a_wrong_hash(self, ward: Ward, medbots: Medbots) -> None:
        """A command that is not what its hash says is told."""
        ward.answers["command-processor"] = {}
        made = tasks.task(ward)
        made["input"][1]["valueString"] = "0" * 64
        assert "not the one that its hash stands for" in medbots("approvals", "show", "t1").err

    def test_without_the_processor(self, ward: Ward, medbots: Medbots) -> None:
        """Where that bot is not deployed nobody can tell who handed it in."""
        tasks.task(ward)
        assert "nobody can tell who handed it in" in medbots("approvals", "show", "t1").err

    def test_a_command_that_is_no_json(self, ward: Ward, medbots: Medbots) -> None:
        """It is shown as it is; what a terminal would obey is not obeyed."""
        ward.answers["command-processor"] = {}
        made = tasks.task(ward)
        made["input"][0]["valueString"] = "no json \x1b[2J"
        told = medbots("approvals", "show", "t1")
        assert "no json" in told.out
        assert "\x1b" not in told.out

    @pytest.mark.parametrize("identifier", ["none", "other"])
    def test_no_such_task(self, desk: Ward, medbots: Medbots, identifier: str) -> None:
        """One that is not there, and one that asks for something else: exit 1."""
        desk.add({"resourceType": "Task", "id": "other", "status": "requested"})
        told = medbots("approvals", "show", identifier)
        assert (told.code, told.out) == (1, "")
        assert "hint: medbots approvals list" in told.err

    @pytest.mark.parametrize(
        "args", [("show",), ("approve", "--yes"), ("reject", "--reason", "other"), ("withdraw",)]
    )
    def test_which_task_is_told(self, desk: Ward, medbots: Medbots, args: tuple[str, ...]) -> None:
        """Each verb says that there is none, or that it is another kind, and asks no bot."""
        desk.add({"resourceType": "Task", "id": "other", "status": "requested"})
        told = medbots("approvals", *args, "none")
        assert (told.code, desk.inputs) == (1, [])
        assert told.err.startswith("error: there is no Task none, or this login may not read it\n")
        told = medbots("approvals", *args, "other", "--format", "json")
        assert (told.code, desk.inputs) == (1, [])
        assert told.json["error"] == {
            "code": "not-found",
            "message": "Task/other is not an approval task: it asks for no approval of a command",
            "hint": "medbots approvals list",
        }

    @pytest.mark.parametrize("identifier", ["", "a b", "Patient/t1", "../Patient/p", "t1/_history"])
    def test_no_id(self, desk: Ward, medbots: Medbots, identifier: str) -> None:
        """What is no id of a Task is exit 64, and no request."""
        for args in (("show",), ("approve", "--yes"), ("reject", "--reason", "x"), ("withdraw",)):
            told = medbots("approvals", *args, "--", identifier)
            assert told.code == 64
            assert told.err.endswith(" is no id of a Task\nhint: ID, or Task/ID\n")
        assert (desk.searches, desk.inputs) == ([], [])


class TestApprove:
    """`approvals approve`."""

    def test_a_yes(self, desk: Ward, medbots: Medbots, person: list[bool]) -> None:
        """The command is shown in full, then the bot gets the decision and the hash of it."""
        person.append(True)
        told = medbots("approvals", "approve", "t1", "--reason", "seen")
        assert told.code == 0
        assert tasks.CONTENT in told.out
        assert "makes a DocumentReference, docStatus preliminary" in told.err
        assert told.out.endswith("completed (executed): DocumentReference/d1, Provenance/v1\n")
        text = desk.resources[0]["input"][0]["valueString"]
        assert desk.inputs == [
            (
                "approval-queue",
                {
                    "taskId": "t1",
                    "decision": "approve",
                    "reason": "seen",
                    "commandSha256": tasks.digest(text),
                },
            )
        ]

    def test_a_no(self, desk: Ward, medbots: Medbots, person: list[bool]) -> None:
        """Nothing is decided: exit 1, for nobody interrupted it."""
        person.append(False)
        told = medbots("approvals", "approve", "t1")
        assert (told.code, desk.inputs) == (1, [])
        assert told.err.endswith("error: Nothing was done.\n")

    @pytest.mark.parametrize("args", [(), ("--non-interactive",), ("--format", "json")])
    def test_nobody_to_ask(self, desk: Ward, medbots: Medbots, args: tuple[str, ...]) -> None:
        """Without a terminal and without --yes: exit 64, --yes is named, nothing is decided."""
        told = medbots("approvals", "approve", "t1", *args)
        assert (told.code, desk.inputs) == (64, [])
        assert "--yes" in told.out + told.err

    def test_stdin_is_closed(
        self, desk: Ward, medbots: Medbots, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nobody can answer there: the same."""
        monkeypatch.setattr(sys, "stdin", None)
        assert (medbots("approvals", "approve", "t1").code, desk.inputs) == (64, [])

    def test_yes_by_flag(self, desk: Ward, medbots: Medbots) -> None:
        """With --yes nothing of the command is printed: there is nobody to read it."""
        told = medbots("approvals", "approve", "t1", "--yes")
        assert told.code == 0
        assert tasks.CONTENT not in told.out + told.err
        assert told.err.startswith("CreateEncounterNoteDraft (Task/t1) for Patient/p9: once you")
        assert medbots("approvals", "approve", "t1", "--yes", "--format", "json").json == DONE

    def test_changes(self, desk: Ward, medbots: Medbots, person: list[bool], tmp_path: Any) -> None:
        """--modify shows old and new of each parameter, and hands the new ones over."""
        (tmp_path / "new.json").write_text('{"content": "better", "sections": null}')
        person.append(True)
        told = medbots("approvals", "approve", "t1", "--modify", "new.json")
        assert f'  content\n  - "{tasks.CONTENT}"\n  + "better"\n' in told.out
        assert desk.inputs[0][1]["modifications"] == {"content": "better", "sections": None}

    @pytest.mark.parametrize("text", ["[]", "{}", "1", "{", '{"a": NaN}'])
    def test_changes_that_are_none(
        self, desk: Ward, medbots: Medbots, tmp_path: Any, text: str
    ) -> None:
        """What is no object with members is exit 64, and nothing is decided."""
        (tmp_path / "new.json").write_text(text)
        told = medbots("approvals", "approve", "t1", "--modify", "new.json", "--yes")
        assert (told.code, desk.inputs) == (64, [])

    def test_the_hash_of_what_the_first_approver_made(self, desk: Ward, medbots: Medbots) -> None:
        """The second approver approves the changed command."""
        changed = tasks.canonical("CreateEncounterNoteDraft", {"content": "changed"})
        tasks.next_version(
            desk,
            5,
            output=[
                tasks.output("modified-command", valueString=changed),
                tasks.output("modified-command-sha256", valueString=tasks.digest(changed)),
            ],
        )
        medbots("approvals", "approve", "t1", "--yes")
        assert desk.inputs[0][1]["commandSha256"] == tasks.digest(changed)

    @pytest.mark.parametrize(
        ("approvers", "words"),
        [
            ((), "and then somebody else in the other role"),
            (("Practitioner/a",), "as the second"),
            ((PRACTITIONER,), "your approval stands; once somebody else approves"),
        ],
    )
    def test_two_people(
        self, ward: Ward, medbots: Medbots, approvers: tuple[str, ...], words: str
    ) -> None:
        """Where two must approve it is said whose turn it is."""
        second = {**DONE, "status": "requested", "businessStatus": "awaiting-second"}
        for name in ("executedResourceId", "provenanceId"):
            del second[name]
        ward.answers = {"command-processor": {}, "approval-queue": second}
        tasks.task(ward, command="SuggestMedicationChange", dual=True)
        tasks.next_version(ward, 1, output=[tasks.approval(one, "nurse") for one in approvers])
        told = medbots("approvals", "approve", "t1", "--yes")
        assert words in told.err
        assert told.out == "requested (awaiting-second)\n"
        assert "nothing is done before somebody else approves" in told.err

    def test_it_was_so_before(self, desk: Ward, medbots: Medbots) -> None:
        """Approved twice: the same result, and that nothing was done."""
        desk.answers["approval-queue"] = {**DONE, "alreadyDone": True}
        told = medbots("approvals", "approve", "t1", "--yes")
        assert (told.code, "nothing was done" in told.err) == (0, True)

    def test_the_first_of_two_approves_again(self, ward: Ward, medbots: Medbots) -> None:
        """Their approval stands, and it is said whom it still waits for: no failure."""
        waits = {"status": "requested", "businessStatus": "awaiting-second", "alreadyDone": True}
        ward.answers = {"command-processor": {}, "approval-queue": {"success": True, **waits}}
        tasks.task(ward, command="SuggestMedicationChange", dual=True)
        told = medbots("approvals", "approve", "t1", "--yes")
        assert (told.code, told.out) == (0, "requested (awaiting-second)\n")
        assert told.err.endswith(
            "your approval was counted before; nothing is done before somebody else approves in "
            "the other role\n"
        )

    @pytest.mark.parametrize("form", ["text", "json"])
    def test_the_bot_refuses(self, desk: Ward, medbots: Medbots, form: str) -> None:
        """Exit 1 with code, rule and message."""
        desk.answers["approval-queue"] = REFUSED
        told = medbots("approvals", "approve", "t1", "--yes", "--format", form)
        assert told.code == 1
        said = "bot 'approval-queue' failed: UNAUTHORIZED (ROLE_NOT_ALLOWED): The approver has no"
        assert said in told.err
        assert "hint: who approves needs an active PractitionerRole" in told.err
        if form == "text":
            assert told.out == ""
        else:
            error = told.json["error"]
            assert told.json == {**REFUSED, "error": error}
            assert error["code"] == "bot-failed"
            assert error["message"].startswith(said)
            assert error["hint"].startswith("who approves needs an active PractitionerRole")

    @pytest.mark.parametrize(
        ("reason", "words"),
        [
            ("OTHER_ROLE_NEEDED", "medbots approvals show tells which roles it needs"),
            ("NOT_THE_SUBMITTER", "an approver ends it by medbots approvals reject"),
            ("WRONG_STATUS", "medbots approvals show tells what became of it"),
            ("TARGET_CHANGED", "hand the command in anew"),
        ],
    )
    def test_what_helps(self, desk: Ward, medbots: Medbots, reason: str, words: str) -> None:
        """Each rule that a person can do something about has its hint."""
        details = {"taskId": "t1", "reason": reason}
        desk.answers["approval-queue"] = {**REFUSED, "details": details}
        told = medbots("approvals", "approve", "t1", "--yes")
        assert told.code == 1
        assert words in told.err.partition("\nhint: ")[2]

    def test_the_bot_is_not_there(self, ward: Ward, medbots: Medbots) -> None:
        """Without the bot nothing is decided."""
        tasks.task(ward)
        told = medbots("approvals", "approve", "t1", "--yes")
        assert told.code in (1, 64)
        assert "approval-queue" in told.err


WITH_REASON = (("reject", ("--reason", "inaccurate")), ("withdraw", ()))


class TestClosed:
    """A decision about what is over, or was put aside."""

    VERBS = (("approve", ()), *WITH_REASON)

    @pytest.mark.parametrize(("verb", "args"), VERBS)
    @pytest.mark.parametrize(
        ("status", "state", "words"),
        [
            ("completed", "executed", "was approved by Practitioner/a and carried out on 2026-"),
            ("rejected", "rejected", "was rejected on 2026-"),
            ("cancelled", "withdrawn", "was withdrawn on 2026-"),
            ("cancelled", "other", "was cancelled on 2026-"),
            ("failed", "expired", "expired on 20"),
            ("failed", "tampered", "failed on 2026-03-01 08:05:00 (tampered), and does not run"),
        ],
    )
    def test_it_is_over(
        self,
        desk: Ward,
        medbots: Medbots,
        person: list[bool],
        verb: str,
        args: tuple[str, ...],
        status: str,
        state: str,
        words: str,
    ) -> None:
        """How it ended is said, nobody is asked, and no bot: exit 1."""
        done = [
            tasks.approval("Practitioner/a", "nurse"),
            tasks.output("result", valueReference={"reference": "DocumentReference/d1"}),
        ]
        tasks.next_version(desk, 5, status=status, businessStatus=tasks.status(state), output=done)
        told = medbots("approvals", verb, "t1", *args)
        assert (told.code, told.out, desk.inputs, person) == (1, "", [], [])
        said, hint = told.err.splitlines()
        about = "error: CreateEncounterNoteDraft (Task/t1) for Patient/p9 "
        assert said.startswith(about + words)
        assert said.endswith(": DocumentReference/d1") is (status == "completed")
        assert hint == "hint: medbots approvals show t1 tells its history"

    @pytest.mark.parametrize(("verb", "args"), VERBS)
    @pytest.mark.parametrize("status", ["requested", "accepted", "on-hold"])
    def test_its_time_is_over(
        self, ward: Ward, medbots: Medbots, verb: str, args: tuple[str, ...], status: str
    ) -> None:
        """Also where no sweep has said so yet, whatever people made of it."""
        tasks.task(ward, status=status, expires=timedelta(minutes=-5))
        told = medbots("approvals", verb, "t1", *args, "--yes", "--format", "json")
        assert (told.code, ward.inputs) == (1, [])
        error = told.json["error"]
        assert error["code"] == "closed"
        assert "(Task/t1) for Patient/p9 expired on 20" in error["message"]
        assert error["hint"] == "medbots approvals sweep closes what is over"

    def test_somebody_ended_it_by_hand(self, desk: Ward, medbots: Medbots) -> None:
        """Who set it is named, and not by what it claims to be."""
        tasks.next_version(desk, 5, "Practitioner/evil", status="completed")
        tasks.next_version(desk, 6, "Practitioner/other", priority="urgent")
        told = medbots("approvals", "approve", "t1", "--yes")
        assert (told.code, desk.inputs) == (1, [])
        assert " was set to completed on 2026-03-01 08:05:00 by Practitioner/evil\n" in told.err

    def test_it_was_put_aside(self, desk: Ward, medbots: Medbots) -> None:
        """The cure is to take it up again."""
        tasks.next_version(desk, 5, "Practitioner/a", status="on-hold")
        told = medbots("approvals", "approve", "t1", "--yes")
        assert (told.code, desk.inputs) == (1, [])
        assert " was set to on-hold on 2026-03-01 08:05:00 by Practitioner/a\n" in told.err
        assert "hint: set its status back to requested, and it waits again" in told.err

    @pytest.mark.parametrize("status", ["accepted", "in-progress"])
    def test_what_can_still_be_decided(self, desk: Ward, medbots: Medbots, status: str) -> None:
        """What somebody accepted by hand, or what a run left, is the bot's to judge."""
        tasks.next_version(desk, 5, status=status)
        assert medbots("approvals", "approve", "t1", "--yes").code == 0
        told = medbots("approvals", "reject", "t1", "--reason", "other", "--yes")
        assert (told.code, len(desk.inputs)) == (0, 2)
        assert ("is carrying that out" in told.err) is (status == "in-progress")


class TestOthers:
    """`approvals reject`, `withdraw` and `sweep`."""

    def test_reject(self, desk: Ward, medbots: Medbots, person: list[bool]) -> None:
        """What is meant is said, then asked; the reason goes with it."""
        person.append(True)
        desk.answers["approval-queue"] = {
            **DONE,
            "status": "rejected",
            "businessStatus": "rejected",
        }
        told = medbots("approvals", "reject", "Task/t1", "--reason", "inaccurate")
        assert (told.code, desk.inputs[0][1]) == (
            0,
            {"taskId": "t1", "decision": "reject", "reason": "inaccurate"},
        )
        about = "CreateEncounterNoteDraft (Task/t1) for Patient/p9"
        assert told.err == f"{about}: once you reject it, it never runs\n"
        assert tasks.CONTENT not in told.out + told.err

    @pytest.mark.parametrize(("verb", "args"), WITH_REASON)
    def test_a_no(
        self, desk: Ward, medbots: Medbots, person: list[bool], verb: str, args: tuple[str, ...]
    ) -> None:
        """Nothing is decided: exit 1."""
        person.append(False)
        told = medbots("approvals", verb, "t1", *args)
        assert (told.code, desk.inputs) == (1, [])
        assert told.err.endswith("error: Nothing was done.\n")

    @pytest.mark.parametrize(("verb", "args"), WITH_REASON)
    @pytest.mark.parametrize("how", [(), ("--non-interactive",), ("--format", "json")])
    def test_nobody_to_ask(
        self,
        desk: Ward,
        medbots: Medbots,
        verb: str,
        args: tuple[str, ...],
        how: tuple[str, ...],
    ) -> None:
        """Without a terminal --yes is needed: exit 64 and the flag, and nothing is decided."""
        told = medbots("approvals", verb, "t1", *args, *how)
        assert (told.code, desk.inputs) == (64, [])
        assert "--yes" in told.out + told.err

    def test_a_forged_task_is_warned_of(self, ward: Ward, medbots: Medbots) -> None:
        """Who rejects is told what is wrong with it, too."""
        ward.answers = {"command-processor": {}, "approval-queue": DONE}
        tasks.task(ward, author="Practitioner/evil")
        told = medbots("approvals", "reject", "t1", "--reason", "other", "--yes")
        assert "warning: Practitioner/evil handed it in" in told.err

    def test_reject_needs_a_reason(self, desk: Ward, medbots: Medbots) -> None:
        """Without one: exit 64."""
        told = medbots("approvals", "reject", "t1")
        assert (told.code, desk.inputs) == (64, [])
        assert "--reason" in told.err

    def test_withdraw(self, desk: Ward, medbots: Medbots) -> None:
        """Whoever handed it in takes it back."""
        told = medbots("approvals", "withdraw", "t1", "--yes")
        assert (told.code, desk.inputs[0][1]) == (0, {"taskId": "t1", "decision": "withdraw"})
        about = "CreateEncounterNoteDraft (Task/t1) for Patient/p9"
        assert told.err == f"{about}: once you withdraw it, it never runs\n"

    def test_sweep(self, desk: Ward, medbots: Medbots) -> None:
        """The counts of the bot; as JSON its own answer."""
        swept = {"success": True, "expired": 2, "recovered": 0, "remaining": 1, "warnings": []}
        desk.answers["approval-queue"] = swept
        told = medbots("approvals", "sweep")
        assert told.out == "expired 2, recovered 0, remaining 1\n"
        assert desk.inputs == [("approval-queue", {"action": "sweep"})]
        assert medbots("approvals", "sweep", "--format", "json").json == swept
