"""The Command Processor Bot on a running server: what is done, what waits, what is blocked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.live import commands
from tests.live.commands import ICD10CM, PRIVATE, RXNORM, Matter, People
from tests.live.medplum import Json
from tests.live.scratch import Scratch
from tests.live.stage import Stage


@pytest.fixture(scope="module")
def people(deployed: Stage) -> Iterator[People]:
    """Who hands commands in and who decides."""
    with commands.people(deployed) as found:
        yield found


@pytest.fixture
def matter(deployed: Stage, records: Scratch, people: People) -> Iterator[Matter]:
    """A patient about whom commands are handed in."""
    with commands.matter(deployed, records, people.author) as found:
        yield found


@pytest.fixture
def other(deployed: Stage, records: Scratch, people: People) -> Iterator[Matter]:
    """Another patient."""
    with commands.matter(deployed, records, people.author) as found:
        yield found


def blocked(answer: Json, reason: str) -> None:
    """See that a command was blocked for a reason."""
    assert answer["success"] is False, answer
    assert (answer["errorCode"], answer["action"]) == ("SAFETY_BLOCKED", "blocked")
    assert answer["blockReason"] == reason


class TestExecuted:
    """What needs nobody's approval."""

    def test_a_critical_result_that_bears_it_out(self, matter: Matter) -> None:
        """K 6.8 mmol/L gives one Flag: labelled, by the Device, with one Provenance."""
        observation = matter.potassium()
        answer = matter.flag(observation)
        assert (answer["success"], answer["action"]) == (True, "executed"), answer
        (flag,) = matter.records("Flag")
        assert flag["id"] == answer["executedResourceId"]
        assert commands.labels(flag) == [commands.AI_LABEL]
        assert flag["author"]["reference"].startswith("Device/")
        assert f"Observation/{observation['id']}" in json.dumps(flag["extension"])
        (origin,) = matter.origins(f"Flag/{flag['id']}")
        assert origin["id"] == answer["provenanceId"]
        assert matter.written() == {"Flag": 1}
        assert len(matter.trail("command_executed")) == 1

    def test_the_same_once_more(self, matter: Matter) -> None:
        """A second time it is a duplicate, and nothing more is written."""
        observation = matter.potassium()
        first, again = matter.flag(observation), matter.flag(observation)
        assert again["duplicate"] is True
        assert again["executedResourceId"] == first["executedResourceId"]
        assert again["commandId"] == first["commandId"]
        assert matter.written() == {"Flag": 1}

    def test_the_same_at_once(self, matter: Matter) -> None:
        """Four at a time make one Flag, and one Provenance."""
        observation = matter.potassium()
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: matter.flag(observation), range(4)))
        assert {answer["action"] for answer in answers} == {"executed"}, answers
        assert sum("duplicate" not in answer for answer in answers) == 1
        (flag,) = matter.records("Flag")
        assert len(matter.origins(f"Flag/{flag['id']}")) == 1


class TestQueued:
    """What waits for a person."""

    def test_a_task_has_what_an_approver_needs(self, matter: Matter) -> None:
        """Both codes, the patient, the requester, an end, the command and its hash."""
        observation = matter.potassium(4.2)
        source = f"Observation/{observation['id']}"
        answer = matter.note(aiModel="m", promptTemplate="p/1", sources=[source])
        assert (answer["success"], answer["action"]) == (True, "queued"), answer
        task = matter.task(answer["taskId"])
        assert (task["status"], task["intent"]) == ("requested", "proposal")
        codes = {(each["system"], each["code"]) for each in task["code"]["coding"]}
        system = "http://medplum.com/ai-command"
        assert codes == {(system, "ai-approval"), (system, "CreateEncounterNoteDraft")}
        assert task["for"]["reference"] == matter.subject["reference"]
        assert task["requester"]["reference"].startswith("Practitioner/")
        assert task["restriction"]["period"]["end"]
        assert commands.labels(task) == [commands.AI_LABEL]
        (command,) = commands.values(task, "input", "command")
        assert json.loads(str(command))["parameters"]["content"] == PRIVATE
        assert commands.values(task, "input", "command-sha256") == [answer["commandId"]]
        assert commands.values(task, "input", "source") == [{"reference": source}]
        assert matter.written() == {}

    def test_the_same_command_is_one_task(self, matter: Matter) -> None:
        """A second time, and four at a time: one Task, `duplicate: true`."""
        first = matter.note()
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: matter.note(), range(4)))
        assert all(answer["duplicate"] for answer in answers)
        assert {answer["taskId"] for answer in answers} == {first["taskId"]}
        assert len(matter.tasks()) == 1

    def test_a_race_is_one_task(self, matter: Matter) -> None:
        """Four at a time, with none before: one Task, and one answer that is no duplicate."""
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: matter.note(), range(4)))
        assert len({answer["taskId"] for answer in answers}) == 1, answers
        assert sum("duplicate" not in answer for answer in answers) == 1
        assert len(matter.tasks()) == 1

    def test_a_flag_beyond_what_the_result_bears_out(self, matter: Matter) -> None:
        """Critical is claimed of 5.2 mmol/L: somebody must look."""
        answer = matter.flag(matter.potassium(5.2))
        assert answer["action"] == "queued"
        task = matter.task(answer["taskId"])
        assert commands.values(task, "input", "approval-reason") == ["NOT_VERIFIED"]
        assert matter.written() == {}

    def test_a_child(self, deployed: Stage, records: Scratch, people: People) -> None:
        """A child's critical result waits too."""
        with commands.matter(deployed, records, people.author, "2020-01-01") as child:
            assert child.flag(child.potassium())["action"] == "queued"

    def test_a_medication_needs_two(self, matter: Matter) -> None:
        """To start one, physician and pharmacist."""
        task = matter.task(matter.start()["taskId"])
        assert commands.values(task, "input", "approval-mode") == ["dual"]

    def test_without_a_person_the_device_asks(self, matter: Matter, records: Scratch) -> None:
        """A command that a bot hands in is the Device's."""
        code = (
            "exports.handler = async (medplum, { input }) =>"
            " medplum.executeBot(input.bot, input.body);\n"
        )
        bot = records.bot(code)
        body = {
            "command": "CreateEncounterNoteDraft",
            "patientId": matter.patient["id"],
            "encounterId": matter.encounter["id"],
            "confidence": 0.9,
            "parameters": {"noteType": "progress", "content": "Fine."},
        }
        processor = matter.stage.bot("command-processor")["id"]
        answer = matter.admin.execute(bot["id"], {"bot": processor, "body": body}).json()
        task = matter.task(answer["taskId"])
        assert task["requester"]["reference"].startswith("Device/")


class TestBlocked:
    """What is not done, whoever would approve it."""

    def test_low_confidence(self, matter: Matter) -> None:
        """0.49 is blocked with an AuditEvent; 0.55 warns."""
        blocked(matter.note(confidence=0.49), "LOW_CONFIDENCE")
        assert matter.tasks() == []
        (event,) = matter.trail("command_blocked")
        assert PRIVATE not in json.dumps(event)
        assert matter.note(confidence=0.55)["warnings"] == ["LOW_CONFIDENCE"]

    @pytest.mark.parametrize(
        ("command", "reason"),
        [
            ("UpdateAllergy", "ALLERGY_CHANGE"),
            ("PrescribeMedication", "PRESCRIPTION"),
            ("ChangeCodeStatus", "CODE_STATUS"),
            ("DischargePatient", "DISCHARGE"),
            ("DeleteCondition", "DELETION"),
            ("LaunchRocket", "UNKNOWN_COMMAND"),
        ],
    )
    def test_commands_that_there_are_not(self, matter: Matter, command: str, reason: str) -> None:
        """What nobody may command, by what it seems to ask for."""
        blocked(matter.submit(command, {"anything": 1}), reason)
        assert matter.written() == {}
        assert matter.tasks() == []

    def test_controlled_substances(self, matter: Matter) -> None:
        """Neither by name nor by code."""
        blocked(matter.start("999999", "Oxycodone 5 MG"), "CONTROLLED_SUBSTANCE")
        blocked(matter.start("7804", "a tablet"), "CONTROLLED_SUBSTANCE")

    def test_more_than_a_draft(self, matter: Matter) -> None:
        """A prescription that is active."""
        parameters = {
            "action": "start",
            "medication": {"system": RXNORM, "code": "6809", "display": "metformin"},
            "rationale": "x",
            "status": "active",
        }
        blocked(matter.submit("SuggestMedicationChange", parameters), "PRESCRIPTION")

    def test_the_problem_list_is_no_way_around(self, matter: Matter) -> None:
        """Neither to allergies nor to the code status."""
        for code, reason in (("Z88.0", "ALLERGY_CHANGE"), ("Z66", "CODE_STATUS")):
            condition = {"system": ICD10CM, "code": code, "display": "x"}
            parameters = {"action": "add", "condition": condition}
            blocked(matter.submit("ProposeProblemListUpdate", parameters), reason)

    def test_ten_are_enough(self, matter: Matter) -> None:
        """The eleventh that would wait is blocked; a duplicate is not, and a flag is not."""
        for number in range(10):
            assert matter.note(f"Note {number}")["action"] == "queued"
        blocked(matter.note("Note 10"), "OPEN_TASK_LIMIT")
        assert matter.note("Note 3")["duplicate"] is True
        assert matter.flag(matter.potassium())["action"] == "executed"


class TestRefused:
    """What is no command at all."""

    def test_another_patients_record(self, matter: Matter, other: Matter) -> None:
        """INVALID_INPUT, and nothing is written but the audit trail."""
        observation = other.potassium()
        for answer in (
            matter.flag(observation),
            matter.note(encounterId=other.encounter["id"]),
            matter.note(sources=[f"Observation/{observation['id']}"]),
        ):
            assert (answer["success"], answer["errorCode"]) == (False, "INVALID_INPUT")
        assert matter.written() == other.written() == {}
        assert matter.tasks() == other.tasks() == []
        assert len(matter.trail("command_blocked")) == 3

    @pytest.mark.parametrize(
        "change",
        [
            {"command": None},
            {"confidence": 2},
            {"confidence": "0.9"},
            {"patientId": "x"},
            {"approved": True},
            {"parameters": {"noteType": "poem", "content": "x"}},
            {"parameters": {"noteType": "progress", "content": "a\u202eb"}},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_malformed(self, matter: Matter, change: Json) -> None:
        """INVALID_INPUT."""
        body = {
            "command": "CreateEncounterNoteDraft",
            "patientId": matter.patient["id"],
            "encounterId": matter.encounter["id"],
            "confidence": 0.9,
            "parameters": {"noteType": "progress", "content": "x"},
            **change,
        }
        answer = matter.run("command-processor", body, matter.author)
        assert (answer["success"], answer["errorCode"]) == (False, "INVALID_INPUT")
        assert matter.tasks() == []

    def test_patients(self, matter: Matter, records: Scratch) -> None:
        """A patient commands nothing."""
        patient = records.member(resourceType="Patient")
        answer = matter.note(by=patient.session)
        assert (answer["success"], answer["errorCode"]) == (False, "UNAUTHORIZED")
        assert matter.tasks() == []
