"""`ask` and `approvals` on a running server: answers with sources, and decisions of people."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from medbots import assets
from tests.live import medplum, polling
from tests.live import stage as stage_module
from tests.live.command import Medbots
from tests.live.medplum import Json
from tests.live.projects import Member
from tests.live.scratch import Scratch
from tests.live.stage import Stage

BOTS = yaml.safe_load((assets.bot_templates() / "medbots.yaml").read_text(encoding="utf-8"))["bots"]
ROLES = "http://terminology.hl7.org/CodeSystem/practitioner-role"
HYPERTENSION = {"system": "http://snomed.info/sct", "code": "38341003", "display": "Hypertension"}
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
NOBODY = "00000000-0000-4000-8000-000000000000"


def having(*keys: str) -> pytest.MarkDecorator:
    """Skip where the packaged manifest lacks one of these bots."""
    missing = [key for key in keys if key not in BOTS]
    return pytest.mark.skipif(bool(missing), reason=f"no bot {', '.join(missing)} yet")


@pytest.fixture(scope="module")
def patient(deployed: Stage) -> Iterator[str]:
    """A patient with two results of one kind, embedded; the id."""
    with stage_module.records(deployed) as made:
        resource = made.create({"resourceType": "Patient", "birthDate": "1960-01-01"})
        for value, day in ((8.2, "2026-01-10"), (7.1, "2026-05-02")):
            record = made.create(
                {
                    "resourceType": "Observation",
                    "status": "final",
                    "subject": {"reference": f"Patient/{resource['id']}"},
                    "category": [
                        {
                            "coding": [
                                {
                                    "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                                    "code": "laboratory",
                                }
                            ]
                        }
                    ],
                    "code": {
                        "coding": [{"system": "http://loinc.org", "code": "4548-4"}],
                        "text": "Hemoglobin A1c",
                    },
                    "effectiveDateTime": f"{day}T08:00:00Z",
                    "valueQuantity": {
                        "value": value,
                        "unit": "%",
                        "system": "http://unitsofmeasure.org",
                        "code": "%",
                    },
                }
            )
            deployed.wait_for_rows(record)
        yield str(resource["id"])


@having("rag-pipeline")
class TestAsk:
    """`ask`."""

    def test_an_answer(self, deployed: Stage, patient: str) -> None:
        """Marks in the text, a source with its date, the model's name, and what it is not."""
        args = ("ask", "What was the hemoglobin A1c?", "--patient", patient)
        told = deployed.medbots(*args).expect()
        found = deployed.medbots.json(*args)
        assert found["refused"] is False
        assert "[1]" in told.out
        assert "[1] Observation/" in told.out
        assert "8.2" in told.out
        assert "2026-01-10" in told.out
        assert f"(uncalibrated), by {found['modelUsed']}" in told.out
        told = deployed.medbots(*args, "--no-citations").expect()
        assert "[1]" not in told.out

    def test_a_refusal(self, deployed: Stage, patient: str) -> None:
        """What the record does not say is not answered: exit 0, and it is said."""
        args = ("ask", "Which football club does the patient support?", "--patient", patient)
        told = deployed.medbots(*args).expect()
        (used,) = {len(deployed.medbots.json(*args)["contextUsed"])}
        searched = "one source that was" if used == 1 else f"{used} sources that were"
        assert told.out.startswith(f"No answer: the model found none in the {searched} searched.")
        assert deployed.medbots.json(*args)["refused"] is True

    @pytest.mark.parametrize(
        ("args", "code"),
        [
            (("--patient", NOBODY), "PATIENT_NOT_FOUND"),
            (("--patient", "not-an-id"), "INVALID_INPUT"),
        ],
    )
    def test_the_bot_refuses(self, deployed: Stage, args: tuple[str, ...], code: str) -> None:
        """What the bot finds wrong is exit 1, with its code."""
        told = deployed.medbots("ask", "Which A1c?", *args).expect(1)
        assert (told.out, f": {code}: " in told.err) == ("", True)

    def test_it_is_audited(self, deployed: Stage, patient: str) -> None:
        """The question is found in the trail, without a word of it."""
        words = f"What was the hemoglobin A1c, {uuid.uuid4().hex}?"
        deployed.medbots("ask", words, "--patient", patient).expect()
        args = ("audit", "--type", "rag_query", "--patient", patient, "--bot", "rag-pipeline")
        events = polling.until(lambda: deployed.medbots.json(*args), "the event")
        assert {event["facts"]["question-length"] for event in events} >= {str(len(words))}
        assert words not in json.dumps(events)


@pytest.fixture
def hand_in(deployed: Stage, patient: str, records: Scratch) -> Callable[..., str]:
    """Hands in a command that nobody did before; returns the id of its Task."""

    def submit(by: Medbots | None = None, **other: object) -> str:
        condition = {**HYPERTENSION, "display": f"Hypertension {uuid.uuid4().hex[:8]}"}
        command = {
            "command": "ProposeProblemListUpdate",
            "patientId": patient,
            "confidence": 0.8,
            "parameters": {"action": "add", "condition": condition},
            **other,
        }
        args = ("bot", "exec", "command-processor", "--input", "-", "--raw")
        answer = (by or deployed.medbots)(*args, stdin=json.dumps(command)).expect().json
        assert answer["action"] == "queued"
        records.keep(f"Task/{answer['taskId']}")
        return str(answer["taskId"])

    return submit


@pytest.fixture
def doctor(deployed: Stage, records: Scratch) -> Medbots:
    """The command as a practitioner who may approve."""
    member = records.member()
    records.create(role_of(member, "doctor"))
    return as_member(deployed, member)


def role_of(member: Member, code: str) -> Json:
    """Return a PractitionerRole."""
    return {
        "resourceType": "PractitionerRole",
        "active": True,
        "practitioner": {"reference": member.profile},
        "code": [{"coding": [{"system": ROLES, "code": code}]}],
    }


def as_member(stage: Stage, member: Member) -> Medbots:
    """Return the command as somebody of the project."""
    token = str(member.session.headers["Authorization"]).removeprefix("Bearer ")
    return stage.medbots.having(MEDPLUM_ACCESS_TOKEN=token)


def listed(medbots: Medbots, task: str, *args: str) -> Json | None:
    """Return a Task as the list shows it; None: it does not."""
    rows: list[Json] = medbots.json("approvals", "list", *args)
    return next((row for row in rows if row["id"] == task), None)


@having("command-processor")
class TestQueue:
    """`approvals list` and `show`."""

    def test_listed(self, deployed: Stage, patient: str, hand_in: Callable[..., str]) -> None:
        """A command that waits, by each filter; its words are not in the list."""
        task = hand_in()
        row = listed(deployed.medbots, task)
        assert row is not None
        assert (row["command"], row["patient"]) == (
            "ProposeProblemListUpdate",
            f"Patient/{patient}",
        )
        assert (row["status"], row["state"]) == ("requested", "awaiting-approval")
        assert (row["confidence"], row["roles"], row["dual"]) == (0.8, ["practitioner"], False)
        assert row["authoredOn"] < row["expires"]
        args = ("--patient", patient, "--command", "ProposeProblemListUpdate", "--mine", "--all")
        assert listed(deployed.medbots, task, *args) == row
        assert listed(deployed.medbots, task, "--command", "FlagAbnormalResult") is None
        assert listed(deployed.medbots, task, "--patient", NOBODY) is None
        told = deployed.medbots("approvals", "list").expect()
        assert task in told.out
        assert "Hypertension" not in told.out + told.err

    def test_mine(self, deployed: Stage, hand_in: Callable[..., str], records: Scratch) -> None:
        """What somebody else handed in is not mine."""
        task = hand_in()
        other = as_member(deployed, records.member())
        assert listed(other, task, "--mine") is None
        assert listed(other, task) is not None

    def test_shown(self, deployed: Stage, hand_in: Callable[..., str]) -> None:
        """The command in full, who handed it in, and no warning."""
        task = hand_in()
        found = deployed.medbots.json("approvals", "show", task)
        assert found["handedIn"]["parameters"]["condition"]["code"] == HYPERTENSION["code"]
        assert found["warnings"] == []
        processor = deployed.bot("command-processor")["id"]
        assert [one["by"] for one in found["history"]] == [f"Bot/{processor}"]
        told = deployed.medbots("approvals", "show", f"Task/{task}").expect()
        assert "Hypertension" in told.out
        assert told.err == ""

    def test_tampered(self, deployed: Stage, hand_in: Callable[..., str]) -> None:
        """A Task that somebody rewrote: the first version's command is shown, and a warning."""
        task = hand_in()
        admin = deployed.clinic.admin
        resource = admin.read(f"Task/{task}")
        for one in resource["input"]:
            if one["type"]["coding"][0]["code"] == "command":
                one["valueString"] = one["valueString"].replace("Hypertension", "Tampered")
        admin.update(resource)
        told = deployed.medbots("approvals", "show", task).expect()
        assert "warning: its command was changed since" in told.err
        assert ("Hypertension" in told.out, "Tampered" in told.out) == (True, False)

    def test_forged(self, deployed: Stage, hand_in: Callable[..., str], records: Scratch) -> None:
        """A Task that a person wrote is told from one that the bot wrote."""
        resource = deployed.clinic.admin.read(f"Task/{hand_in()}")
        for name in ("id", "meta", "identifier"):
            del resource[name]
        forged = records.create(resource)
        told = deployed.medbots("approvals", "show", forged["id"]).expect()
        assert "handed it in, and not the Command Processor Bot" in told.err

    def test_put_back(self, deployed: Stage, hand_in: Callable[..., str]) -> None:
        """A deleted Task is not there; one that was put back says so."""
        task = hand_in()
        admin = deployed.clinic.admin
        resource = admin.read(f"Task/{task}")
        admin.delete(f"fhir/R4/Task/{task}")
        deployed.medbots("approvals", "show", task).expect(1)
        admin.update(resource)
        assert "put back" in deployed.medbots("approvals", "show", task).expect().err

    @pytest.mark.parametrize("identifier", [NOBODY, "not-an-id"])
    def test_none(self, deployed: Stage, identifier: str) -> None:
        """No such Task: exit 1, one message."""
        for args in (("show",), ("approve", "--yes"), ("reject", "--reason", "x"), ("withdraw",)):
            told = deployed.medbots("approvals", *args, identifier).expect(1)
            assert told.err.startswith(f"error: there is no Task {identifier}, or this login may")
            assert told.err.endswith("hint: medbots approvals list\n")

    def test_another_kind(self, deployed: Stage, patient: str, records: Scratch) -> None:
        """A Task that asks for something else is told from one that is not there."""
        other = records.create(
            {
                "resourceType": "Task",
                "status": "requested",
                "intent": "order",
                "for": {"reference": f"Patient/{patient}"},
            }
        )
        told = deployed.medbots("approvals", "show", other["id"]).expect(1)
        assert f"Task/{other['id']} is not an approval task" in told.err

    @pytest.mark.parametrize(
        ("status", "words"), [("on-hold", "put aside: on hold"), ("ready", "put aside: ready")]
    )
    def test_put_aside_by_hand(
        self, deployed: Stage, hand_in: Callable[..., str], doctor: Medbots, status: str, words: str
    ) -> None:
        """It is listed in words, and nobody is asked about it before it is taken up again."""
        task = hand_in()
        admin = deployed.clinic.admin
        admin.update({**admin.read(f"Task/{task}"), "status": status})
        row = listed(deployed.medbots, task)
        assert row is not None
        assert (row["status"], row["state"]) == (status, status)
        assert words in deployed.medbots("approvals", "show", task).expect().out
        told = doctor("approvals", "approve", task, "--yes").expect(1)
        assert f" was set to {status} on " in told.err
        assert "hint: set its status back to requested" in told.err
        admin.update({**admin.read(f"Task/{task}"), "status": "requested"})
        answer = doctor.json("approvals", "reject", task, "--reason", "other", "--yes")
        assert answer["status"] == "rejected"


@having("command-processor", "approval-queue")
class TestDecisions:
    """`approvals approve`, `reject`, `withdraw` and `sweep`."""

    def test_approved(
        self, deployed: Stage, hand_in: Callable[..., str], doctor: Medbots, records: Scratch
    ) -> None:
        """The command is carried out once; a second approval changes nothing."""
        task = hand_in()
        doctor("approvals", "approve", task).expect(64)
        answer = doctor.json("approvals", "approve", task, "--yes")
        made = f"{answer['executedResourceType']}/{answer['executedResourceId']}"
        records.keep(made)
        records.keep(f"Provenance/{answer['provenanceId']}")
        assert deployed.clinic.admin.read(made)["code"]["coding"][0]["code"] == "38341003"
        assert listed(doctor, task) is None
        row = listed(doctor, task, "--all")
        assert row is not None
        assert (row["status"], row["results"][0]) == ("completed", made)
        found = doctor.json("approvals", "show", task)
        assert found["history"][-1]["approvers"][0]["who"].startswith("Practitioner/")
        told = doctor("approvals", "approve", task, "--yes").expect(1)
        assert "for Patient/" in told.err
        assert " and carried out on " in told.err
        assert f": {made}" in told.err
        assert listed(doctor, task, "--all") == row

    def test_modified(
        self,
        deployed: Stage,
        hand_in: Callable[..., str],
        doctor: Medbots,
        records: Scratch,
        tmp_path: Path,
    ) -> None:
        """What the approver changes is what is carried out."""
        file = tmp_path / "new.json"
        file.write_text(json.dumps({"condition": {**HYPERTENSION, "display": "Changed"}}))
        answer = doctor.json("approvals", "approve", hand_in(), "--yes", "--modify", str(file))
        made = f"{answer['executedResourceType']}/{answer['executedResourceId']}"
        records.keep(made)
        records.keep(f"Provenance/{answer['provenanceId']}")
        assert deployed.clinic.admin.read(made)["code"]["coding"][0]["display"] == "Changed"

    def test_two_people(
        self, deployed: Stage, hand_in: Callable[..., str], doctor: Medbots, records: Scratch
    ) -> None:
        """A new drug needs a doctor and a pharmacist: the first approval does nothing yet."""
        drug = {"system": RXNORM, "code": "29046", "display": "lisinopril"}
        parameters = {"action": "start", "medication": drug, "rationale": "blood pressure"}
        task = hand_in(command="SuggestMedicationChange", parameters=parameters)
        told = doctor("approvals", "approve", task, "--yes").expect()
        assert told.out == "requested (awaiting-second)\n"
        assert "and then somebody else in the other role" in told.err
        row = listed(doctor, task)
        assert row is not None
        assert (row["state"], row["dual"]) == ("awaiting-second", True)
        assert doctor("approvals", "approve", task, "--yes").code in (0, 1)
        pharmacist = records.member()
        records.create(role_of(pharmacist, "pharmacist"))
        second = as_member(deployed, pharmacist)
        told = second("approvals", "approve", task, "--yes").expect()
        assert "as the second, in the other role" in told.err
        made = told.out.partition(": ")[2].partition(",")[0]
        records.keep(made)
        medication = deployed.clinic.admin.read(made)
        assert (medication["status"], medication["intent"]) == ("draft", "proposal")
        found = second.json("approvals", "show", task)
        assert len(found["history"][-1]["approvers"]) == 2

    def test_refused_without_a_role(
        self, deployed: Stage, hand_in: Callable[..., str], records: Scratch
    ) -> None:
        """Who has no role that may: exit 1 with the bot's rule, and the Task still waits."""
        task = hand_in()
        other = as_member(deployed, records.member())
        told = other("approvals", "approve", task, "--yes").expect(1)
        assert "UNAUTHORIZED (NO_ACTIVE_ROLE)" in told.err
        row = listed(deployed.medbots, task)
        assert row is not None
        assert row["state"] == "awaiting-approval"

    def test_not_ones_own(self, hand_in: Callable[..., str], doctor: Medbots) -> None:
        """Who handed it in cannot approve it, and can withdraw it."""
        task = hand_in(doctor)
        told = doctor("approvals", "approve", task, "--yes").expect(1)
        assert "OWN_COMMAND" in told.err
        doctor("approvals", "withdraw", task).expect(64)
        told = doctor("approvals", "withdraw", task, "--yes").expect()
        assert told.out.startswith("cancelled")
        assert ": once you withdraw it, it never runs" in told.err
        assert " was withdrawn on " in doctor("approvals", "withdraw", task, "--yes").expect(1).err

    def test_rejected(self, hand_in: Callable[..., str], doctor: Medbots) -> None:
        """The reason stays in the Task, and in the trail that somebody said no."""
        task = hand_in()
        args = ("approvals", "reject", task, "--reason", "not-indicated")
        doctor(*args).expect(64)
        told = doctor(*args, "--yes").expect()
        assert told.out.startswith("rejected")
        assert " was rejected on " in doctor("approvals", "approve", task, "--yes").expect(1).err
        assert doctor.json("approvals", "show", task)["reason"] == "not-indicated"
        args = ("audit", "--type", "approval_denied", "--since", "1h")
        polling.until(lambda: doctor.json(*args), "the event")

    def test_swept(self, deployed: Stage) -> None:
        """The counts of a sweep."""
        assert "expired " in deployed.medbots("approvals", "sweep").expect().out
        assert deployed.medbots.json("approvals", "sweep")["success"] is True


def test_whoever_reads_this_is_a_practitioner(deployed: Stage) -> None:
    """The owner of a project is one: what these tests approve and submit rests on it."""
    me = medplum.expect(deployed.clinic.admin.get("auth/me"))
    assert me["profile"]["resourceType"] == "Practitioner"
