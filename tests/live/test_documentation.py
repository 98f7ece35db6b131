"""The Documentation Assistant Bot on a running server: what holds whatever its model says."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.live import medplum, projects
from tests.live import stage as stage_module
from tests.live.medplum import Json, Session
from tests.live.scratch import Scratch
from tests.live.stage import Stage
from tests.live.test_embedding import condition

PLACEHOLDER = "[CLINICIAN TO COMPLETE]"
NOTE = "S: Increased thirst for two weeks. Denies chest pain.\nP: Recheck in three months."
HOSTILE = "Peanut\n\n# Plan\n\n[start](http://evil.example) <img src=x> **opiates**"
LOINC = {
    "progress": "11506-3",
    "discharge": "18842-5",
    "consultation": "11488-4",
    "referral": "57133-1",
    "history_physical": "34117-2",
}


@dataclass(frozen=True)
class Visit:
    """A patient, an encounter, and what is recorded of it."""

    patient: Json
    encounter: Json
    medicines: list[Json]
    """All of the chart that are taken."""


@pytest.fixture(scope="module")
def visits(deployed: Stage) -> Iterator[tuple[Visit, Visit]]:
    """Two patients with a visit each."""
    with stage_module.records(deployed) as made:
        yield _visit(made), _visit(made)


@pytest.fixture
def visit(visits: tuple[Visit, Visit]) -> Visit:
    """One of the patients."""
    return visits[0]


def _visit(made: Scratch) -> Visit:
    patient = made.create({"resourceType": "Patient", "gender": "female"})
    subject = {"reference": f"Patient/{patient['id']}"}
    encounter = made.create(
        {
            "resourceType": "Encounter",
            "status": "finished",
            "class": {"code": "AMB"},
            "subject": subject,
            "period": {"start": "2024-05-01T08:00:00Z"},
            "reasonCode": [{"text": "Diabetes follow-up"}],
        }
    )
    within = {"reference": f"Encounter/{encounter['id']}"}
    made.create(condition(patient, "Type 2 diabetes mellitus"))
    taken = [_medication(made, subject, name, "active") for name in ("Metformin", "Lisinopril")]
    _medication(made, subject, "Stopped drug", "stopped")
    clinical = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
    made.create(
        {
            "resourceType": "AllergyIntolerance",
            "patient": subject,
            "code": {"text": HOSTILE},
            "clinicalStatus": {"coding": [{"system": clinical, "code": "active"}]},
        }
    )
    category = "http://terminology.hl7.org/CodeSystem/observation-category"
    made.create(
        {
            "resourceType": "Observation",
            "status": "final",
            "category": [{"coding": [{"system": category, "code": "vital-signs"}]}],
            "subject": subject,
            "encounter": within,
            "code": {"text": "Systolic blood pressure"},
            "valueQuantity": {"value": 148, "unit": "mmHg"},
            "effectiveDateTime": "2024-05-01T08:05:00Z",
        }
    )
    made.create(
        {
            "resourceType": "DocumentReference",
            "status": "current",
            "subject": subject,
            "context": {"encounter": [within]},
            "content": [
                {
                    "attachment": {
                        "contentType": "text/plain",
                        "data": base64.b64encode(NOTE.encode()).decode(),
                    }
                }
            ],
        }
    )
    return Visit(patient, encounter, taken)


def _medication(made: Scratch, subject: Json, name: str, status: str) -> Json:
    return made.create(
        {
            "resourceType": "MedicationRequest",
            "status": status,
            "intent": "order",
            "subject": subject,
            "medicationCodeableConcept": {"text": name},
        }
    )


def draft(stage: Stage, session: Session, of: Visit, **more: object) -> Json:
    """Run the bot as somebody."""
    body = {
        "patientId": of.patient["id"],
        "encounterId": of.encounter["id"],
        "documentationType": "progress",
        **more,
    }
    bot = stage.bot("documentation-assistant")["id"]
    answer: Json = medplum.expect(session.execute(bot, body))
    return answer


class TestDraft:
    """What a draft holds."""

    @pytest.mark.parametrize("kind", LOINC)
    def test_it_has_its_type(self, deployed: Stage, visit: Visit, kind: str) -> None:
        """Each kind of document has its LOINC code."""
        more: Json = {"documentationType": kind}
        if kind == "referral":
            more["referralDetails"] = {"specialty": "Cardiology", "urgency": "routine"}
        answer = draft(deployed, deployed.clinic.admin, visit, **more)
        assert answer["success"] is True, answer
        assert answer["documentType"]["system"] == "http://loinc.org"
        assert answer["documentType"]["code"] == LOINC[kind]

    @pytest.mark.parametrize("form", ["markdown", "text"])
    def test_the_clinicians_words_stand_to_the_letter(
        self, deployed: Stage, visit: Visit, form: str
    ) -> None:
        """Whatever they hold, and whatever the model makes of them."""
        words = {
            "subjective": '  "Feels *tired*" <3 weeks> & [so](on)\r\n\r\n# no heading\n',
            "exam": "Lungs clear.\n\tAbdomen soft.",
            "assessment": "T2DM, poorly controlled \N{EM DASH} \N{THINKING FACE}",
            "plan": "1. metformin 1 g b.i.d.\n2. recheck in 3/12",
        }
        answer = draft(deployed, deployed.clinic.admin, visit, clinicianInput=words, format=form)
        assert answer["success"] is True, answer
        for section, text in words.items():
            assert text in answer["sections"]["objective" if section == "exam" else section]
            assert text in answer["content"]

    def test_every_medicine_is_in_the_chart(self, deployed: Stage, visit: Visit) -> None:
        """All that are taken are listed, and no other."""
        answer = draft(deployed, deployed.clinic.admin, visit)
        listed = {each["source"] for each in answer["medicationsIncluded"]}
        assert listed == {f"MedicationRequest/{each['id']}" for each in visit.medicines}
        assert "Stopped drug" not in answer["content"]

    def test_an_examination_is_the_clinicians_alone(self, deployed: Stage, visit: Visit) -> None:
        """Without their words there is a placeholder."""
        objective = draft(deployed, deployed.clinic.admin, visit)["sections"]["objective"]
        assert objective.endswith(PLACEHOLDER)
        assert "148 mmHg" in objective

    def test_each_statement_has_sources_of_the_patient(self, deployed: Stage, visit: Visit) -> None:
        """The evidence names resources that are this patient's, or the clinician."""
        answer = draft(deployed, deployed.clinic.admin, visit, clinicianInput={"plan": "Rest."})
        assert answer["evidence"]
        for entry in answer["evidence"]:
            assert entry["sources"], entry
        sources = {source for entry in answer["evidence"] for source in entry["sources"]}
        for source in sources - {"clinician"}:
            resource = deployed.clinic.admin.read(source)
            owner = resource.get("subject") or resource.get("patient") or {"reference": source}
            assert owner["reference"] == f"Patient/{visit.patient['id']}"

    def test_a_records_markup_is_text(self, deployed: Stage, visit: Visit) -> None:
        """A name in the record makes no heading, link or image."""
        answer = draft(deployed, deployed.clinic.admin, visit)
        lines = answer["content"].splitlines()
        (line,) = [each for each in lines if each.startswith("- **Peanut")]
        assert "\\](http\\://evil.example)" in line
        assert not [each for each in lines if "<img" in each.replace("\\<", "")]
        assert [each for each in lines if each.endswith("# Plan")] == ["## Plan"]


class TestSaved:
    """A draft that is to be saved."""

    def test_it_is_a_task_and_no_document(
        self, deployed: Stage, visit: Visit, records: Scratch
    ) -> None:
        """One Task, however often; the record has no other document than before."""
        query = f"DocumentReference?subject=Patient/{visit.patient['id']}"
        before = len(deployed.clinic.admin.find(query))
        words = {"subjective": "Thirst.", "assessment": "T2DM.", "plan": f"Rest, {uuid.uuid4()}."}
        answers = [
            draft(deployed, deployed.clinic.admin, visit, saveDraft=True, clinicianInput=words)
            for _ in range(2)
        ]
        for answer in answers:
            assert answer["success"] is True, answer
            records.keep(f"Task/{answer['taskId']}")
        if answers[0]["content"] == answers[1]["content"]:
            # A model that says the same again.
            assert answers[0]["taskId"] == answers[1]["taskId"]
        task = deployed.clinic.admin.read(f"Task/{answers[0]['taskId']}")
        assert (task["status"], task["intent"]) == ("requested", "proposal")
        assert len(deployed.clinic.admin.find(query)) == before


class TestRefused:
    """What makes no draft."""

    @pytest.mark.parametrize(
        "body",
        [
            {"documentationType": "operation"},
            {"documentationType": None},
            {"documentationType": "referral"},
            {"format": "html"},
            {"encounterId": "3b241101-e2bb-4255-8caf-4136c566a962"},
            {"clinicianInput": {"objective": "x"}},
            {"saveDraft": "yes"},
        ],
        ids=lambda body: "-".join(f"{key}-{value}" for key, value in body.items())[:40],
    )
    def test_it_is_invalid_input(self, deployed: Stage, visit: Visit, body: Json) -> None:
        """`success: false`, INVALID_INPUT, and no content."""
        answer = draft(deployed, deployed.clinic.admin, visit, **body)
        assert (answer["success"], answer["errorCode"]) == (False, "INVALID_INPUT")
        assert "content" not in answer

    def test_another_patients_encounter(self, deployed: Stage, visits: tuple[Visit, Visit]) -> None:
        """An encounter of somebody else is INVALID_INPUT."""
        mine, other = visits
        answer = draft(deployed, deployed.clinic.admin, mine, encounterId=other.encounter["id"])
        assert (answer["success"], answer["errorCode"]) == (False, "INVALID_INPUT")


class TestRights:
    """Somebody who may read less."""

    def test_what_may_not_be_read_is_not_called_none(
        self, deployed: Stage, visit: Visit, records: Scratch
    ) -> None:
        """Without the right to Observations, the draft says that they are not readable."""
        types = (
            *("Patient", "Encounter", "Condition", "MedicationRequest", "MedicationStatement"),
            *("AllergyIntolerance", "DocumentReference", "DiagnosticReport", "Procedure", "Bot"),
        )
        policy = records.create(
            {
                "resourceType": "AccessPolicy",
                "name": projects.unique("narrow"),
                "resource": [
                    {"resourceType": each, "interaction": ["read", "search"]} for each in types
                ],
            }
        )
        session = records.member(f"AccessPolicy/{policy['id']}").session
        answer = draft(deployed, session, visit)
        assert answer["success"] is True, answer
        assert "RECORD_NOT_READABLE" in answer["warnings"]
        assert "Observation: not readable" in answer["sections"]["objective"]
        assert "148" not in answer["content"]
