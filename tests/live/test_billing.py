"""The Billing Code Suggester Bot on a running server: what holds whatever its model says."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.live import medplum, polling
from tests.live import stage as stage_module
from tests.live.medplum import Json
from tests.live.scratch import Scratch
from tests.live.stage import Stage

ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
CPT = "http://www.ama-assn.org/go/cpt"
COMMAND = "http://medplum.com/ai-command|SuggestBillingCodes"
VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
NOTE = (
    "Assessment: Allergic rhinitis (J30.9), on loratadine. Device status (Z99.999).\n"
    "Denies chest pain (R07.9). Mother has asthma (J45.909)."
)
"""With the codes that a model may name: one that holds, an invented one, and two that do not."""


@dataclass(frozen=True)
class Visit:
    """A patient and an encounter, and what is made of them."""

    made: Scratch
    patient: Json
    encounter: Json

    @property
    def subject(self) -> Json:
        """The patient, as a reference."""
        return {"reference": f"Patient/{self.patient['id']}"}

    @property
    def within(self) -> Json:
        """The encounter, as a reference."""
        return {"reference": f"Encounter/{self.encounter['id']}"}

    def condition(self, code: str, verification: str = "confirmed") -> Json:
        """Diagnose something in the encounter."""
        return self.made.create(
            {
                "resourceType": "Condition",
                "subject": self.subject,
                "encounter": self.within,
                "code": {"coding": [{"system": ICD10CM, "code": code}]},
                "verificationStatus": {"coding": [{"system": VERIFICATION, "code": verification}]},
                "clinicalStatus": {"coding": [{"system": CLINICAL, "code": "active"}]},
            }
        )

    def procedure(self, code: str, **more: object) -> Json:
        """Do something in the encounter."""
        return self.made.create(
            {
                "resourceType": "Procedure",
                "status": "completed",
                "subject": self.subject,
                "encounter": self.within,
                "code": {"coding": [{"system": CPT, "code": code}]},
                **more,
            }
        )

    def note(self, text: str) -> Json:
        """Sign a note of the encounter."""
        data = base64.b64encode(text.encode()).decode()
        return self.made.create(
            {
                "resourceType": "DocumentReference",
                "status": "current",
                "docStatus": "final",
                "subject": self.subject,
                "context": {"encounter": [self.within]},
                "content": [{"attachment": {"contentType": "text/plain", "data": data}}],
            }
        )

    def become(self, status: str, **more: object) -> None:
        """Change the encounter's status, and more."""
        admin = self.made.admin
        changed = admin.read(self.within["reference"]) | {"status": status, **more}
        medplum.expect(admin.put(f"fhir/R4/{self.within['reference']}", json=changed))

    def tasks(self) -> list[Json]:
        """Return the Tasks with a suggestion for the patient, and remember them."""
        query = f"Task?patient={self.subject['reference']}&code={COMMAND}"
        found = self.made.admin.find(query)
        for task in found:
            reference = f"Task/{task['id']}"
            if reference not in self.made.references:
                self.made.keep(reference)
        return found

    def runs(self, namespace: str) -> list[Json]:
        """Return the AuditEvents of suggestions for the patient."""
        subtype = f"{namespace}/ai-audit-event|billing_suggestion"
        query = f"AuditEvent?subtype={subtype}&patient={self.subject['reference']}"
        return self.made.admin.find(query)


@pytest.fixture
def visit(deployed: Stage, records: Scratch) -> Callable[..., Visit]:
    """Make a patient with an encounter that is not finished yet."""

    def make(status: str = "in-progress") -> Visit:
        return _visit(records, status)

    return make


@pytest.fixture(scope="module")
def cancelled(deployed: Stage) -> Iterator[tuple[Visit, Visit]]:
    """Two patients, each with an encounter that did not take place."""
    with stage_module.records(deployed) as made:
        yield _visit(made, "cancelled"), _visit(made, "cancelled")


def _visit(made: Scratch, status: str) -> Visit:
    patient = made.create({"resourceType": "Patient"})
    encounter = made.create(
        {
            "resourceType": "Encounter",
            "status": status,
            "class": {"code": "AMB"},
            "subject": {"reference": f"Patient/{patient['id']}"},
            "period": {"start": "2026-03-02T09:00:00Z"},
        }
    )
    return Visit(made, patient, encounter)


def suggest(stage: Stage, of: Visit, **more: object) -> Json:
    """Run the bot as the project's admin."""
    body = {"patientId": of.patient["id"], "encounterId": of.encounter["id"], **more}
    bot = stage.bot("billing-code-suggester")["id"]
    answer: Json = medplum.expect(stage.clinic.admin.execute(bot, body))
    return answer


def codes(listed: list[Json]) -> list[str]:
    """Return the codes of a list of an answer."""
    return [each["code"] for each in listed]


class TestSuggested:
    """What a record documents."""

    def test_the_records_diagnoses(self, deployed: Stage, visit: Callable[..., Visit]) -> None:
        """I10 and E11.9 are suggested from Conditions, and exactly one is primary."""
        today = visit()
        hypertension, _ = today.condition("I10"), today.condition("e119")
        answer = suggest(deployed, today)
        assert answer["success"] is True, answer
        assert sorted(codes(answer["icd10Codes"])) == ["E11.9", "I10"]
        assert sum(each["isPrimary"] for each in answer["icd10Codes"]) == 1
        first = next(each for each in answer["icd10Codes"] if each["code"] == "I10")
        assert first["display"] == "Essential (primary) hypertension"
        assert first["evidence"] == [{"reference": f"Condition/{hypertension['id']}"}]

    def test_a_category_is_refused(self, deployed: Stage, visit: Callable[..., Visit]) -> None:
        """E11 is no leaf: it is refused with the reason, and proposed to nobody."""
        today = visit("finished")
        condition = today.condition("E11")
        answer = suggest(deployed, today)
        assert answer["icd10Codes"] == []
        refused = {
            "code": "E11",
            "reason": "NOT_SPECIFIC",
            "source": f"Condition/{condition['id']}",
        }
        assert refused in answer["refusedCodes"]
        assert today.tasks() == []

    def test_a_note_brings_no_code_that_it_does_not_bear_out(
        self, deployed: Stage, visit: Callable[..., Visit]
    ) -> None:
        """Whatever the model names: no invented code, nothing denied, nothing of a relative."""
        today = visit()
        today.note(NOTE)
        answer = suggest(deployed, today)
        assert answer["success"] is True, answer
        assert not {"Z99.999", "R07.9", "J45.909"} & set(codes(answer["icd10Codes"]))
        assert "Z99.999" not in codes(answer["refusedCodes"])
        for each in answer["icd10Codes"]:
            assert each["source"] == "note"
            assert each["confidence"] <= 0.8
            for evidence in each["evidence"]:
                assert " ".join(evidence["quote"].split()) in " ".join(NOTE.split())

    def test_a_procedure_says_what_it_was_for(
        self, deployed: Stage, visit: Callable[..., Visit]
    ) -> None:
        """A procedure with a reason is linked to its diagnosis; one without is warned of."""
        today = visit()
        pain = today.condition("M25.561")
        today.condition("I10")
        reason = [{"reference": f"Condition/{pain['id']}"}]
        today.procedure("20610", reasonReference=reason)
        today.procedure("93000")
        answer = suggest(deployed, today)
        listed = {each["code"]: each for each in answer["cptCodes"]}
        assert listed["20610"]["diagnoses"] == ["M25.561"]
        assert "medicalNecessityWarning" not in listed["20610"]
        assert listed["93000"]["medicalNecessityWarning"]
        assert all("display" not in each for each in answer["cptCodes"])

    def test_a_level_needs_documentation(
        self, deployed: Stage, visit: Callable[..., Visit]
    ) -> None:
        """99215 that somebody coded is refused where 25 minutes are documented: it is 99213."""
        today = visit()
        today.condition("I10")
        today.note("Established patient. Total time today: 25 minutes.")
        today.procedure("99215")
        answer = suggest(deployed, today)
        assert codes(answer["cptCodes"]) == ["99213"]
        assert "99215" in codes(answer["refusedCodes"])


class TestProposed:
    """What comes of a suggestion."""

    def test_finishing_twice_is_one_task(
        self, deployed: Stage, visit: Callable[..., Visit]
    ) -> None:
        """The subscription proposes once; an edit runs nothing; finishing again adds nothing."""
        today = visit()
        today.condition("I10")
        today.become("finished")
        (task,) = polling.until(today.tasks, "the Task of a suggestion")
        assert (task["status"], task["intent"]) == ("requested", "proposal")
        assert task["encounter"]["reference"] == today.within["reference"]
        today.become("finished", priority={"text": "routine"})
        today.become("in-progress")
        today.condition("E11.9")
        today.become("finished")
        space = deployed.namespace
        polling.until(lambda: len(today.runs(space)) == 2, "the second run")
        answer = suggest(deployed, today)
        assert answer["taskId"] == task["id"]
        assert answer["command"]["duplicate"] is True
        assert [one["id"] for one in today.tasks()] == [task["id"]]
        assert len(today.runs(space)) == 3

    def test_no_price_and_no_claim_before_approval(
        self, deployed: Stage, visit: Callable[..., Visit]
    ) -> None:
        """A Task is all there is."""
        today = visit()
        today.condition("I10")
        today.become("finished")
        polling.until(today.tasks, "the Task of a suggestion")
        claims = deployed.clinic.admin.find(f"Claim?patient={today.subject['reference']}")
        assert claims == []


class TestRefused:
    """What gives no suggestion."""

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"encounterId": None},
            {"encounterId": "3b241101-e2bb-4255-8caf-4136c566a962"},
            {"patientId": "somebody"},
            {"minConfidence": 2},
            {"price": 100},
        ],
        ids=lambda body: "-".join(f"{key}-{value}" for key, value in body.items())[:30] or "status",
    )
    def test_it_is_invalid_input(
        self, deployed: Stage, cancelled: tuple[Visit, Visit], body: Json
    ) -> None:
        """`success: false`, INVALID_INPUT; also for an encounter that was cancelled."""
        answer = suggest(deployed, cancelled[0], **body)
        assert (answer["success"], answer["errorCode"]) == (False, "INVALID_INPUT")

    def test_another_patients_encounter(
        self, deployed: Stage, cancelled: tuple[Visit, Visit]
    ) -> None:
        """An encounter of somebody else is INVALID_INPUT, and nothing of it is told."""
        mine, other = cancelled
        answer = suggest(deployed, mine, encounterId=other.encounter["id"])
        assert (answer["success"], answer["errorCode"]) == (False, "INVALID_INPUT")
        assert other.patient["id"] not in str(answer)

    def test_another_patients_condition(
        self, deployed: Stage, visit: Callable[..., Visit], records: Scratch
    ) -> None:
        """A Condition of somebody else is left out, though it names the encounter."""
        today, other = visit(), visit()
        today.condition("I10")
        theirs = Visit(records, other.patient, today.encounter).condition("C50.911")
        answer = suggest(deployed, today)
        assert codes(answer["icd10Codes"]) == ["I10"]
        assert "FOREIGN_RECORD" in answer["warnings"]
        assert theirs["id"] not in str(answer)
