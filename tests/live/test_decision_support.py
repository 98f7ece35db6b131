"""The Clinical Decision Support Bot on a running server: what its rules find, write and leave."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.live import medplum, polling
from tests.live.medplum import Json
from tests.live.scratch import Scratch
from tests.live.stage import Stage

ZERO = "00000000-0000-4000-8000-000000000000"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
UCUM = "http://unitsofmeasure.org"
WRITTEN = (
    ("DetectedIssue", "patient"),
    ("GuidanceResponse", "subject"),
    ("Flag", "patient"),
    ("Task", "patient"),
)
"""What the bots make for a patient, and the search parameter that finds it."""


@dataclass(frozen=True)
class Ward:
    """A patient, what is entered into the record, and what the bot makes of it."""

    stage: Stage
    made: Scratch
    patient: Json

    @property
    def subject(self) -> Json:
        """The patient, as a reference."""
        return {"reference": f"Patient/{self.patient['id']}"}

    def order(self, text: str, **more: object) -> Json:
        """Order a drug."""
        return self.made.create(
            {
                "resourceType": "MedicationRequest",
                "status": "active",
                "intent": "order",
                "subject": self.subject,
                "medicationCodeableConcept": {"text": text},
                **more,
            }
        )

    def potassium(self, value: float, unit: str) -> Json:
        """Enter a potassium of now."""
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        return self.made.create(
            {
                "resourceType": "Observation",
                "status": "final",
                "subject": self.subject,
                "code": {"coding": [{"system": "http://loinc.org", "code": "2823-3"}]},
                "effectiveDateTime": now,
                "valueQuantity": {"value": value, "unit": unit, "system": UCUM, "code": unit},
            }
        )

    def encounter(self, status: str) -> Json:
        """Begin, plan or end an encounter."""
        return self.made.create(
            {
                "resourceType": "Encounter",
                "status": status,
                "class": {"system": ACT_CODE, "code": "AMB"},
                "subject": self.subject,
            }
        )

    def ask(self, **more: object) -> Json:
        """Run the bot."""
        bot = self.stage.bot("clinical-decision-support")["id"]
        body = {"patientId": self.patient["id"], **more}
        answer: Json = medplum.expect(self.stage.clinic.admin.execute(bot, body))
        return answer

    def find(self, resource_type: str) -> list[Json]:
        """Return what the bots made of a type."""
        parameter = dict(WRITTEN)[resource_type]
        return self.made.admin.find(
            f"{resource_type}?{parameter}=Patient/{self.patient['id']}&_count=50"
        )

    def runs(self, resource: Json) -> list[Json]:
        """Return the server's own AuditEvents of the runs that a record started."""
        reference = f"{resource['resourceType']}/{resource['id']}"
        found = self.made.admin.find(f"AuditEvent?entity={reference}&_count=50")
        return [each for each in found if each["type"]["code"] == "execute"]

    def wait(self, resource: Json, runs: int = 1) -> list[Json]:
        """Wait until a record has started so many runs of this bot."""

        def enough() -> list[Json] | None:
            found = self.runs(resource)
            return found if len(found) >= runs else None

        return polling.until(enough, f"{runs} runs of {resource['resourceType']}/{resource['id']}")


@pytest.fixture
def ward(deployed: Stage, records: Scratch) -> Iterator[Ward]:
    """A woman of middle age; what the bots made for her is deleted with her."""
    patient = records.create(
        {"resourceType": "Patient", "gender": "female", "birthDate": "1960-05-01"}
    )
    made = Ward(deployed, records, patient)
    yield made
    for resource_type, _ in WRITTEN:
        for each in made.find(resource_type):
            records.keep(f"{resource_type}/{each['id']}")


def codes(issues: list[Json]) -> list[tuple[str, str, str]]:
    """Return kind, severity and status of issues."""
    return sorted(
        (each["code"]["coding"][0]["code"], each["severity"], each["status"]) for each in issues
    )


class TestMedications:
    """Interactions, duplicates and allergies, by subscription."""

    def test_warfarin_and_aspirin_are_one_high_issue(self, ward: Ward) -> None:
        """One DRG issue that names both orders; saving one again adds none."""
        warfarin = ward.order("Warfarin 5 mg")
        aspirin = ward.order("Aspirin 81 mg")
        ward.wait(aspirin)
        ward.made.admin.update({**aspirin, "note": [{"text": "again"}]})
        assert [each["outcome"] for each in ward.wait(aspirin, 2)] == ["0", "0"]
        (issue,) = ward.find("DetectedIssue")
        assert codes([issue]) == [("DRG", "high", "final")]
        assert {each["reference"] for each in issue["implicated"]} == {
            f"MedicationRequest/{each['id']}" for each in (warfarin, aspirin)
        }
        assert issue["author"]["reference"].startswith("Device/")
        assert "security" not in issue.get("meta", {})

    def test_a_stopped_order_ends_its_issue_and_takes_it_up_again(self, ward: Ward) -> None:
        """Stopped: cancelled. Active again: the same issue stands again."""
        ward.order("Warfarin")
        aspirin = ward.order("Aspirin")
        ward.wait(aspirin)
        stopped = ward.made.admin.update({**aspirin, "status": "stopped"})
        ward.wait(aspirin, 2)
        (ended,) = ward.find("DetectedIssue")
        assert ended["status"] == "cancelled"
        ward.made.admin.update({**stopped, "status": "active"})
        ward.wait(aspirin, 3)
        (again,) = ward.find("DetectedIssue")
        assert (again["id"], again["status"]) == (ended["id"], "final")

    def test_a_deleted_order_ends_its_issue(self, ward: Ward) -> None:
        """What is deleted is no longer current."""
        ward.order("Warfarin")
        aspirin = ward.order("Aspirin")
        ward.wait(aspirin)
        ward.made.admin.delete(f"fhir/R4/MedicationRequest/{aspirin['id']}")
        polling.until(
            lambda: codes(ward.find("DetectedIssue")) == [("DRG", "high", "cancelled")],
            "the issue to end",
        )

    def test_two_orders_at_once_are_one_issue(self, ward: Ward) -> None:
        """Runs that meet leave one issue."""
        with ThreadPoolExecutor() as pool:
            orders = list(pool.map(ward.order, ("Warfarin", "Aspirin", "Metformin")))
        for order in orders:
            ward.wait(order)
        assert codes(ward.find("DetectedIssue")) == [("DRG", "high", "final")]

    def test_asking_at_once_makes_each_issue_once(self, ward: Ward) -> None:
        """Several runs at once leave one issue and one GuidanceResponse of the same snapshot."""
        ward.order("Sildenafil 50 mg")
        order = ward.order("Nitroglycerin")
        ward.wait(order)
        with ThreadPoolExecutor() as pool:
            asked = [pool.submit(ward.ask, analysisTypes=["interactions"]) for _ in range(4)]
        answers = [each.result() for each in asked]
        assert all(each["success"] for each in answers), answers
        assert len({each["guidanceResponseId"] for each in answers}) == 1
        assert codes(ward.find("DetectedIssue")) == [("DRG", "high", "final")]

    def test_an_allergy_and_a_duplicate(self, ward: Ward) -> None:
        """Penicillin against amoxicillin, and one ingredient in two products."""
        clinical = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
        ward.made.create(
            {
                "resourceType": "AllergyIntolerance",
                "patient": ward.subject,
                "code": {"text": "Penicillin"},
                "clinicalStatus": {"coding": [{"system": clinical, "code": "active"}]},
            }
        )
        for text in ("Augmentin 875 mg", "Ibuprofen 400 mg", "Advil 200 mg"):
            ward.order(text)
        ward.ask(analysisTypes=["interactions"])
        assert codes(ward.find("DetectedIssue")) == [
            ("ALGY", "high", "final"),
            ("DUPTHPY", "moderate", "final"),
        ]

    def test_an_unknown_drug_is_told(self, ward: Ward) -> None:
        """By reference, with the words that no finding is no safety."""
        order = ward.order("Zyxomab 10 mg")
        answer = ward.ask(analysisTypes=["interactions"])
        assert answer["unrecognised"] == [f"MedicationRequest/{order['id']}"]
        assert "No finding is no safety" in answer["statement"]
        assert answer["ruleset"]["version"]


class TestCriticalResults:
    """From a result to its Flag."""

    def test_a_critical_potassium_is_one_flag(self, ward: Ward) -> None:
        """K 6.8 mmol/L: one Flag, however many encounters and people look."""
        ward.potassium(6.8, "mmol/L")
        encounter = ward.encounter("in-progress")
        ward.wait(encounter)
        answer = ward.ask(analysisTypes=["critical"])
        (flag,) = ward.find("Flag")
        (command,) = answer["commands"]
        assert (command["action"], command["flag"]) == ("executed", f"Flag/{flag['id']}")
        assert answer["criticalFindings"][0]["interpretation"] == "HH"

    def test_a_wrong_unit_is_told_and_not_flagged(self, ward: Ward) -> None:
        """K 6.8 mg/dL: a mismatch of units and no Flag."""
        observation = ward.potassium(6.8, "mg/dL")
        answer = ward.ask(analysisTypes=["critical"])
        (mismatch,) = answer["unitMismatches"]
        assert (mismatch["observation"], mismatch["reason"]) == (
            f"Observation/{observation['id']}",
            "UNIT_MISMATCH",
        )
        assert (answer["criticalFindings"], ward.find("Flag")) == ([], [])

    def test_only_looking_flags_nothing(self, ward: Ward) -> None:
        """`generateCommands: false` finds, and hands nothing on."""
        ward.potassium(6.8, "mmol/L")
        answer = ward.ask(analysisTypes=["critical"], generateCommands=False)
        assert len(answer["criticalFindings"]) == 1
        assert (answer["commands"], ward.find("Flag")) == ([], [])
        assert "COMMANDS_NOT_GENERATED" in answer["warnings"]


class TestEncounters:
    """What an encounter starts."""

    def test_no_encounter_is_rewritten(self, ward: Ward) -> None:
        """A run for each save and no more: nothing that the bot writes starts it again."""
        ward.order("Warfarin")
        order = ward.order("Aspirin")
        ward.wait(order)
        encounter = ward.encounter("arrived")
        ward.wait(encounter)
        saved = ward.made.admin.update({**encounter, "status": "in-progress"})
        ward.wait(encounter, 2)
        ward.ask()
        assert len(ward.runs(encounter)) == 2
        assert len(ward.runs(order)) == 1
        after = ward.made.admin.read(f"Encounter/{encounter['id']}")
        assert after["meta"]["versionId"] == saved["meta"]["versionId"]

    @pytest.mark.parametrize("status", ["planned", "finished"])
    def test_one_that_is_not_going_on_is_left_alone(self, ward: Ward, status: str) -> None:
        """No GuidanceResponse, no Flag."""
        ward.potassium(6.8, "mmol/L")
        ward.wait(ward.encounter(status))
        assert (ward.find("GuidanceResponse"), ward.find("Flag")) == ([], [])

    def test_the_same_snapshot_is_kept_once(self, ward: Ward) -> None:
        """Saving an encounter again makes no second GuidanceResponse."""
        encounter = ward.encounter("in-progress")
        ward.wait(encounter)
        ward.made.admin.update({**encounter, "reasonCode": [{"text": "again"}]})
        ward.wait(encounter, 2)
        (kept,) = ward.find("GuidanceResponse")
        assert kept["encounter"]["reference"] == f"Encounter/{encounter['id']}"
        assert kept["performer"]["reference"].startswith("Device/")


class TestAnswer:
    """What `$execute` gives."""

    def test_prevention_and_cards(self, ward: Ward) -> None:
        """Recommendations with their dated source; cards in the form of CDS Hooks."""
        ward.order("Warfarin")
        ward.order("Aspirin")
        answer = ward.ask()
        due = {each["rule"]: each for each in answer["preventive"]}
        assert due["colorectal-cancer"]["status"] == "due"
        assert due["colorectal-cancer"]["source"]["date"]
        assert answer["cards"][0]["indicator"] == "critical"
        for card in answer["cards"]:
            assert len(card["summary"]) <= 140
            assert {"summary", "indicator", "detail", "source", "links"} <= set(card)

    def test_a_suggestion_is_never_more(self, ward: Ward) -> None:
        """Whatever the model says: at most three, cited and labelled, and nothing of it kept."""
        ward.potassium(6.8, "mmol/L")
        answer = ward.ask(
            analysisTypes=["diagnosis"], chiefComplaint="Palpitations and weak legs for two days"
        )
        assert answer["success"] is True, answer
        assert len(answer["differentials"]) <= 3
        for each in answer["differentials"]:
            assert each["aiGenerated"] is True
            assert all(sentence["citations"] for sentence in each["reasoning"])
            assert each["condition"] not in str(ward.find("GuidanceResponse"))
        assert (ward.find("DetectedIssue"), ward.find("Flag")) == ([], [])

    @pytest.mark.parametrize(
        ("body", "code", "words"),
        [
            ({"patientId": "Eleanor"}, "INVALID_INPUT", "patientId"),
            ({"analysisTypes": ["prognosis"]}, "INVALID_INPUT", "analysisTypes"),
            ({"generateCommands": "no"}, "INVALID_INPUT", "generateCommands"),
            ({"severity": "high"}, "INVALID_INPUT", "severity"),
            ({"patientId": ZERO}, "PATIENT_NOT_FOUND", ZERO),
        ],
        ids=["patient", "analysis", "commands", "unknown-field", "nobody"],
    )
    def test_bad_input_is_told(self, ward: Ward, body: Json, code: str, words: str) -> None:
        """`success: false`, the code, and what is wrong."""
        answer = ward.ask(**body)
        assert (answer["success"], answer["errorCode"]) == (False, code)
        assert words in answer["message"]
