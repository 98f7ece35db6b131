"""The policies of the how-to page: whom they let run which bot, and what opens too much."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest

from tests.live import medplum, projects
from tests.live import test_desk as desk
from tests.live.medplum import Json, Session
from tests.live.projects import Member
from tests.live.scratch import Scratch
from tests.live.stage import Stage

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "limit-who-may-run-bots.md"
AS_THE_USER = ("semantic-search", "rag-pipeline", "documentation-assistant")
OF_THEIR_OWN = ("clinical-decision-support", "billing-code-suggester", "embedding")
OTHERS = ("command-processor", "approval-queue", "audit-logging")


def policies(stage: Stage) -> tuple[Json, Json]:
    """Return the page's policies: a clinician's, and what is given beside it."""
    text = PAGE.read_text(encoding="utf-8").replace("urn:medbots/", f"{stage.namespace}/")
    first, second = re.findall(r"^```json\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return json.loads(first), json.loads(second)


def bound(records: Scratch, *given: Json) -> Member:
    """Make a member with these policies, the first as `accessPolicy`, the others as `access`."""
    made = [
        f"AccessPolicy/{records.create({**one, 'name': projects.unique('policy')})['id']}"
        for one in given
    ]
    member = records.member(made[0])
    if made[1:]:
        access = [{"policy": {"reference": one}} for one in made[1:]]
        path = f"fhir/R4/ProjectMembership/{member.membership['id']}"
        operations = [{"op": "add", "path": "/access", "value": access}]
        medplum.expect(records.admin.change(path, operations))
    return member


@pytest.fixture
def encounter(records: Scratch) -> Json:
    """A visit of a patient with something in the record."""
    patient = records.create({"resourceType": "Patient", "birthDate": "1960-01-01"})
    subject = {"reference": f"Patient/{patient['id']}"}
    records.create({"resourceType": "Condition", "subject": subject, "code": {"text": "Asthma"}})
    visit = {"class": {"code": "AMB"}, "status": "in-progress", "subject": subject}
    return records.create({"resourceType": "Encounter", **visit})


def inputs(encounter: Json) -> dict[str, Json]:
    """Return an input for each bot that answers about a patient."""
    patient = encounter["subject"]["reference"].partition("/")[2]
    visit = {"patientId": patient, "encounterId": encounter["id"]}
    return {
        "semantic-search": {"query": "asthma", "patientId": patient, "minSimilarity": 0},
        "rag-pipeline": {"question": "Which conditions are known?", "patientId": patient},
        "documentation-assistant": {**visit, "documentationType": "progress"},
        "clinical-decision-support": {"patientId": patient, "analysisTypes": ["interactions"]},
        "billing-code-suggester": visit,
        "embedding": {"resourceType": "Condition", "id": patient},
    }


def ways(stage: Stage, session: Session, key: str, body: Json) -> dict[str, httpx.Response]:
    """Try to run a bot by each way that the server has."""
    bot = stage.bot(key)["id"]
    by_name = f"fhir/R4/Bot/$execute?identifier={stage.namespace}/bot|{key}"
    return {
        "by id": session.execute(bot, body),
        "by identifier": session.post(by_name, json=body),
        "by GET": session.get(f"fhir/R4/Bot/{bot}/$execute"),
        "later": session.post(
            f"fhir/R4/Bot/{bot}/$execute", json=body, headers={"Prefer": "respond-async"}
        ),
    }


def refused(answers: dict[str, httpx.Response]) -> dict[str, bool]:
    """Return for each way whether the server refused it: it is not there, or no job may be made."""
    no = (httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND)
    return {way: answer.status_code in no for way, answer in answers.items()}


def test_a_clinician_runs_what_runs_as_the_user(
    deployed: Stage, records: Scratch, encounter: Json
) -> None:
    """The three bots answer well, with nothing unreadable, and their trail is written."""
    member = bound(records, policies(deployed)[0])
    for key in AS_THE_USER:
        answer = medplum.expect(
            member.session.execute(deployed.bot(key)["id"], inputs(encounter)[key])
        )
        assert answer["success"], (key, answer)
        told = set(answer.get("warnings", []))
        assert not told & {"AUDIT_FAILED", "RECORD_NOT_READABLE", "FIELDS_HIDDEN"}, (key, told)
    kinds = ("semantic_search", "rag_query", "documentation_draft")
    for kind in kinds:
        query = f"AuditEvent?subtype={deployed.namespace}/ai-audit-event|{kind}"
        found = records.admin.find(f"{query}&patient={encounter['subject']['reference']}")
        assert found, kind


def test_a_clinician_runs_no_bot_that_knows_more(
    deployed: Stage, records: Scratch, encounter: Json
) -> None:
    """By no way can the others be run, seen or replaced; the patient leaves no trace of a try."""
    member = bound(records, policies(deployed)[0])
    seen = {
        identifier["value"]
        for bot in member.session.find("Bot?_count=100")
        for identifier in bot.get("identifier", [])
    }
    assert seen == {*AS_THE_USER, *OTHERS}
    for key in OF_THEIR_OWN:
        answers = ways(deployed, member.session, key, inputs(encounter)[key])
        assert all(refused(answers).values()), (key, refused(answers))
        bot = deployed.bot(key)
        assert member.session.get(f"fhir/R4/Bot/{bot['id']}").status_code in (403, 404)
    for key in (*AS_THE_USER, *OTHERS, *OF_THEIR_OWN):
        code = {"code": "exports.handler = async () => 1;", "filename": "index.js"}
        path = f"fhir/R4/Bot/{deployed.bot(key)['id']}/$deploy"
        assert member.session.post(path, json=code).status_code in (403, 404), key


def test_a_clinician_hands_in_and_decides_by_the_same_policy(
    deployed: Stage, records: Scratch, encounter: Json
) -> None:
    """With a role a member proposes, and another approves, at the terminal too."""
    proposer, doctor = (bound(records, policies(deployed)[0]) for _ in range(2))
    records.create(desk.role_of(doctor, "doctor"))
    command = {
        "command": "ProposeProblemListUpdate",
        "patientId": encounter["subject"]["reference"],
        "confidence": 0.8,
        "parameters": {"action": "add", "condition": desk.HYPERTENSION},
    }
    bot = deployed.bot("command-processor")["id"]
    handed_in = medplum.expect(proposer.session.execute(bot, command))
    assert handed_in["action"] == "queued"
    terminal = desk.as_member(deployed, doctor)
    terminal("approvals", "approve", handed_in["taskId"], "--yes").expect()
    task = records.admin.read(f"Task/{handed_in['taskId']}")
    assert task["status"] == "completed"


def test_the_second_policy_opens_the_two(
    deployed: Stage, records: Scratch, encounter: Json
) -> None:
    """Who has both policies runs all but the Embedding Bot."""
    member = bound(records, *policies(deployed))
    for key in OF_THEIR_OWN[:2]:
        answer = medplum.expect(
            member.session.execute(deployed.bot(key)["id"], inputs(encounter)[key])
        )
        assert answer["success"] or answer["errorCode"] == "INVALID_INPUT", (key, answer)
    answers = ways(deployed, member.session, "embedding", inputs(encounter)["embedding"])
    assert all(refused(answers).values())


@pytest.mark.parametrize(
    "more",
    [
        {"resource": [{"resourceType": "*", "readonly": True}]},
        {"resource": [{"resourceType": "Bot", "readonly": True}]},
    ],
    ids=["a wildcard", "every bot"],
)
def test_rights_add_up(deployed: Stage, records: Scratch, encounter: Json, more: Json) -> None:
    """One wider entry in another policy opens every bot: what the page warns of."""
    member = bound(records, policies(deployed)[0], {"resourceType": "AccessPolicy", **more})
    key = "clinical-decision-support"
    answer = member.session.execute(deployed.bot(key)["id"], inputs(encounter)[key])
    assert medplum.expect(answer)["success"] is True


def test_a_criteria_without_its_type_is_refused(deployed: Stage, records: Scratch) -> None:
    """The server takes no policy whose criteria it could not read: it would open every bot."""
    policy = policies(deployed)[0]
    first, *rest = policy["resource"]
    wrong = {**first, "criteria": first["criteria"].removeprefix("Bot?")}
    answer = records.admin.post("fhir/R4/AccessPolicy", json={**policy, "resource": [wrong, *rest]})
    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert "axp-3" in answer.text


def test_at_the_terminal(deployed: Stage, records: Scratch, encounter: Json) -> None:
    """`bot exec` runs a bot of the policy, and another one is not there."""
    terminal = desk.as_member(deployed, bound(records, policies(deployed)[0]))
    runs = {
        key: terminal("bot", "exec", key, "--input", "-", stdin=json.dumps(inputs(encounter)[key]))
        for key in ("semantic-search", "clinical-decision-support")
    }
    runs["semantic-search"].expect()
    assert "is not deployed" in runs["clinical-decision-support"].expect(1).err
