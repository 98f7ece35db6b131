"""The Approval Queue Bot on a running server: who may approve what, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from tests.live import commands, medplum, polling, projects
from tests.live.commands import ICD10CM, PRIVATE, Matter, People
from tests.live.medplum import Json, Session
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


def refused(answer: Json, reason: str, code: str = "SAFETY_BLOCKED") -> None:
    """See that a decision was refused for a reason."""
    assert answer["success"] is False, answer
    assert (answer["errorCode"], answer["details"]["reason"]) == (code, reason), answer


def history(matter: Matter, task: str) -> list[Json]:
    """Return the versions of a Task, the newest first."""
    bundle = medplum.expect(matter.admin.get(f"fhir/R4/Task/{task}/_history"))
    return [entry["resource"] for entry in bundle["entry"] if "resource" in entry]


class TestApproved:
    """What is carried out."""

    def test_a_note(self, matter: Matter, people: People) -> None:
        """A preliminary document, its Provenance, word to the author, and a completed Task."""
        task = matter.note()["taskId"]
        answer = matter.approve(task, people.doctor)
        assert (answer["success"], answer["status"]) == (True, "completed"), answer
        (note,) = matter.records("DocumentReference")
        assert note["id"] == answer["executedResourceId"]
        assert (note["status"], note["docStatus"]) == ("current", "preliminary")
        assert commands.labels(note) == [commands.AI_LABEL]
        assert note["author"][0]["reference"].startswith("Device/")
        (origin,) = matter.origins(f"DocumentReference/{note['id']}")
        who = [agent["who"]["reference"] for agent in origin["agent"]]
        assert who == [note["author"][0]["reference"], people.doctor.profile]
        (message,) = matter.admin.find(f"Communication?subject={matter.subject['reference']}")
        assert message["recipient"][0]["reference"] == people.author.profile
        assert PRIVATE not in json.dumps(message)
        assert len(matter.trail("approval_granted")) == 1
        assert PRIVATE not in json.dumps(matter.trail("approval_granted"))

    def test_every_other_command(self, matter: Matter, people: People) -> None:
        """Each gives its draft, valid on this server, labelled, with one Provenance."""
        condition = matter.condition()
        coded = {"system": ICD10CM, "code": "I10", "display": "Hypertension"}
        within = {"encounterId": matter.encounter["id"]}
        handed_in = {
            "Flag": matter.flag(matter.potassium(5.2), "abnormal", "H"),
            "Claim": matter.submit(
                "SuggestBillingCodes", {"suggestedCodes": [{**coded, "confidence": 0.9}]}, **within
            ),
            "ServiceRequest": matter.submit(
                "QueueReferralLetter",
                {"specialty": "Cardiology", "urgency": "urgent", "reason": "x", "summary": "y"},
                **within,
            ),
            "Condition": matter.submit(
                "ProposeProblemListUpdate", {"action": "add", "condition": coded}
            ),
        }
        for kind, handed in handed_in.items():
            answer = matter.approve(handed["taskId"], people.doctor)
            assert (answer["status"], answer["executedResourceType"]) == ("completed", kind), answer
            made = matter.admin.read(f"{kind}/{answer['executedResourceId']}")
            assert commands.labels(made) == [commands.AI_LABEL]
            assert len(matter.origins(f"{kind}/{made['id']}")) == 1
        handed = matter.submit(
            "ProposeProblemListUpdate", {"action": "resolve", "conditionId": condition["id"]}
        )
        assert matter.approve(handed["taskId"], people.doctor)["status"] == "completed"
        now = matter.admin.read(f"Condition/{condition['id']}")
        assert now["clinicalStatus"]["coding"][0]["code"] == "resolved"
        (request,) = matter.records("ServiceRequest")
        assert (request["status"], request["intent"]) == ("draft", "proposal")
        (claim,) = matter.records("Claim")
        assert claim["status"] == "draft"
        assert "unitPrice" not in json.dumps(claim)

    def test_by_two_people(self, matter: Matter, people: People) -> None:
        """A medication waits for the pharmacist, and is a draft then."""
        task = matter.start()["taskId"]
        first = matter.approve(task, people.doctor)
        assert (first["status"], first["businessStatus"]) == ("requested", "awaiting-second")
        again = matter.approve(task, people.doctor)
        assert (again["businessStatus"], again["alreadyDone"]) == ("awaiting-second", True)
        assert len(matter.trail("approval_granted")) == 1
        assert matter.written() == {}
        assert matter.approve(task, people.pharmacist)["status"] == "completed"
        (request,) = matter.records("MedicationRequest")
        assert (request["status"], request["intent"]) == ("draft", "proposal")

    def test_at_once(self, matter: Matter, people: People) -> None:
        """Four approvals at a time carry it out once."""
        task = matter.note()["taskId"]
        approvers = [people.doctor, people.nurse] * 2
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda each: matter.approve(task, each), approvers))
        assert all(answer["success"] for answer in answers), answers
        assert sum("alreadyDone" not in answer for answer in answers) == 1
        (note,) = matter.records("DocumentReference")
        assert len(matter.origins(f"DocumentReference/{note['id']}")) == 1
        assert matter.task(task)["status"] == "completed"

    def test_with_transactions(self, matter: Matter, people: People, super_admin: Session) -> None:
        """Where the project has transactions the same comes of it, and a second time nothing."""
        clinic = matter.stage.clinic
        before = sorted(clinic.features)
        projects.set_features(super_admin, clinic.id, [*before, "transaction-bundles"])
        try:
            task = matter.note()["taskId"]
            answer = matter.approve(task, people.doctor)
            again = matter.approve(task, people.doctor)
        finally:
            projects.set_features(super_admin, clinic.id, before)
        assert answer["status"] == "completed", answer
        assert again["alreadyDone"] is True
        (note,) = matter.records("DocumentReference")
        (origin,) = matter.origins(f"DocumentReference/{note['id']}")
        assert origin["id"] == answer["provenanceId"]
        version = f"DocumentReference/{note['id']}/_history/{note['meta']['versionId']}"
        assert origin["entity"][-1] == {"role": "derivation", "what": {"reference": version}}
        result = commands.values(matter.task(task), "output", "result")
        assert result == [{"reference": f"DocumentReference/{note['id']}"}]

    def test_modified(self, matter: Matter, people: People) -> None:
        """An approver's own words are carried out, and the Task keeps both."""
        task = matter.note("The patient is fine.")["taskId"]
        answer = matter.approve(task, people.doctor, modifications={"content": "She is well."})
        assert answer["status"] == "completed", answer
        (note,) = matter.records("DocumentReference")
        read = matter.admin.read(f"DocumentReference/{note['id']}")
        assert commands.text(read) == "She is well."
        kept = matter.task(task)
        assert "She is well." in str(commands.values(kept, "output", "modified-command"))
        assert "The patient is fine." in str(commands.values(kept, "input", "command"))

    def test_modified_for_the_second(self, matter: Matter, people: People) -> None:
        """The second of two approves what the first made of it, and says so by its hash."""
        task = matter.start()["taskId"]
        first = matter.approve(task, people.doctor, modifications={"dosage": "250 mg"})
        assert first["businessStatus"] == "awaiting-second", first
        refused(matter.approve(task, people.pharmacist), "COMMAND_DIFFERS")
        matter.edit(task, people.pharmacist.session, status="accepted", output=[])
        kept = matter.reaches(task, "requested", "awaiting-second")
        assert matter.written() == {}
        (seen,) = commands.values(kept, "output", "modified-command-sha256")
        answer = matter.approve(task, people.pharmacist, commandSha256=seen)
        assert answer["status"] == "completed", answer
        (request,) = matter.records("MedicationRequest")
        assert "250 mg" in json.dumps(request)

    def test_accepted_in_the_record(self, matter: Matter, people: People) -> None:
        """A doctor who sets the Task to accepted approves; the bot does not run in circles."""
        task = matter.note()["taskId"]
        matter.edit(task, people.doctor.session, status="accepted")
        matter.reaches(task, "completed", "executed")
        assert matter.written() == {"DocumentReference": 1}
        reference = f"Subscription/{matter.stage.subscription('approval-queue-task')['id']}"

        def quiet() -> list[Json]:
            query = f"AuditEvent?entity={reference}&_count=50&_sort=-_lastUpdated"
            return [each for each in matter.admin.find(query) if f"Task/{task}" in json.dumps(each)]

        # Queued, accepted, claimed, completed: each version is looked at once.
        versions = len(history(matter, task))
        runs = polling.until(
            lambda: found if len(found := quiet()) >= versions else None, "the runs"
        )
        assert len(runs) == versions == 4


class TestRefused:
    """Who does not approve, and what is not carried out."""

    def test_not_by_the_wrong_people(
        self, matter: Matter, people: People, records: Scratch
    ) -> None:
        """The author, somebody without a role, a role that is over, another role."""
        task = matter.note()["taskId"]
        over = commands.member(records, "doctor", period={"end": "2020-12-31"})
        for who, reason in (
            (people.author, "OWN_COMMAND"),
            (people.clerk, "NO_ACTIVE_ROLE"),
            (over, "NO_ACTIVE_ROLE"),
            (people.pharmacist, "ROLE_NOT_ALLOWED"),
        ):
            refused(matter.approve(task, who), reason, "UNAUTHORIZED")
        assert matter.task(task)["status"] == "requested"
        assert matter.written() == {}

    def test_not_by_bots_or_for_others(
        self, matter: Matter, people: People, records: Scratch
    ) -> None:
        """A bot, and a project admin who acts on behalf of a doctor."""
        task = matter.note()["taskId"]
        queue = matter.stage.bot("approval-queue")["id"]
        code = (
            "exports.handler = async (medplum, { input }) =>"
            " medplum.executeBot(input.bot, { taskId: input.task, decision: 'approve' });\n"
        )
        bot = records.bot(code)
        answer = matter.admin.execute(bot["id"], {"bot": queue, "task": task}).json()
        refused(answer, "NOT_A_PRACTITIONER", "UNAUTHORIZED")
        headers = {"X-Medplum-On-Behalf-Of": people.doctor.profile}
        body = {"taskId": task, "decision": "approve"}
        answer = matter.run("approval-queue", body, matter.admin, **headers)
        refused(answer, "ON_BEHALF_OF", "UNAUTHORIZED")
        assert matter.written() == {}

    def test_not_accepted_by_whoever_may_not(self, matter: Matter, people: People) -> None:
        """The Task goes back to requested."""
        task = matter.note()["taskId"]
        for who in (people.author, people.clerk):
            matter.edit(task, who.session, status="accepted")
            matter.reaches(task, "requested")
        query = f"AuditEvent?subtype={matter.stage.namespace}/ai-audit-event|approval_refused"
        polling.until(lambda: len(matter.admin.find(f"{query}&entity=Task/{task}")) > 1, "refusals")
        assert matter.written() == {}

    def test_a_forged_task(self, matter: Matter, people: People) -> None:
        """One that a user made fails, and nothing runs; the true one goes on."""
        true = matter.note()["taskId"]
        copied = matter.task(true)
        forged = people.clerk.session.create(
            {name: value for name, value in copied.items() if name not in {"id", "meta"}}
        )
        matter.reaches(forged["id"], "failed", "forged")
        refused(matter.approve(forged["id"], people.doctor), "FORGED")
        assert matter.written() == {}
        assert matter.approve(true, people.doctor)["status"] == "completed"

    def test_a_tampered_task(self, matter: Matter, people: People) -> None:
        """One whose command was rewritten with its hash fails; neither command runs."""
        task = matter.note("She is well.")["taskId"]
        before = matter.task(task)
        changed = json.loads(json.dumps(before["input"]).replace("well", "dead"))
        matter.edit(task, people.clerk.session, input=changed)
        matter.reaches(task, "failed", "tampered")
        assert matter.approve(task, people.doctor)["success"] is False
        assert matter.written() == {}

    def test_a_task_that_was_deleted_and_put_back(self, matter: Matter, people: People) -> None:
        """A history with a deletion in it is refused."""
        task = matter.note()["taskId"]
        before = matter.task(task)
        matter.admin.delete(f"fhir/R4/Task/{task}")
        people.clerk.session.update(before)
        refused(matter.approve(task, people.doctor), "DELETED")
        assert matter.written() == {}

    def test_an_approval_that_nobody_gave(self, matter: Matter, people: People) -> None:
        """A first approval that somebody wrote into the Task counts for nothing."""
        task = matter.start()["taskId"]
        space = matter.stage.namespace
        approval = {
            "type": {"coding": [{"system": f"{space}/task-output", "code": "approval"}]},
            "extension": [{"url": f"{space}/approver-role", "valueCode": "practitioner"}],
            "valueReference": {"reference": people.doctor.profile},
        }
        second = {"coding": [{"system": f"{space}/task-status", "code": "awaiting-second"}]}
        matter.edit(task, people.clerk.session, output=[approval], businessStatus=second)
        answer = matter.approve(task, people.pharmacist)
        assert (answer["status"], answer["businessStatus"]) == ("requested", "awaiting-second")
        assert matter.written() == {}

    def test_what_has_ended(self, matter: Matter, people: People) -> None:
        """Set back to requested after its end, it does not run again."""
        task = matter.note()["taskId"]
        matter.approve(task, people.doctor)
        matter.edit(task, people.clerk.session, status="requested")
        matter.edit(task, people.doctor.session, status="accepted")
        answer = matter.approve(task, people.nurse)
        assert (answer["alreadyDone"], answer["status"]) == (True, "completed")
        assert matter.written() == {"DocumentReference": 1}

    def test_a_record_that_was_changed_since(self, matter: Matter, people: People) -> None:
        """A problem is resolved at the version that was looked at, or not at all."""
        condition = matter.condition()
        parameters = {"action": "resolve", "conditionId": condition["id"]}
        task = matter.submit("ProposeProblemListUpdate", parameters)["taskId"]
        matter.admin.update({**condition, "note": [{"text": "worse"}]})
        refused(matter.approve(task, people.doctor), "TARGET_CHANGED")
        assert commands.business_status(matter.task(task)) == "target-changed"

    def test_modifications_pass_the_checks_too(self, matter: Matter, people: People) -> None:
        """A modification to a controlled substance is refused; the command waits on."""
        task = matter.start()["taskId"]
        drug = {"system": commands.RXNORM, "code": "7804", "display": "oxycodone"}
        answer = matter.approve(task, people.doctor, modifications={"medication": drug})
        refused(answer, "CONTROLLED_SUBSTANCE")
        assert matter.task(task)["status"] == "requested"


class TestEnded:
    """What is not carried out by somebody's wish, or by time."""

    def test_rejected(self, matter: Matter, people: People) -> None:
        """A reason, a Provenance of the Task, word to the author without the reason."""
        task = matter.note()["taskId"]
        answer = matter.decide(task, "reject", people.nurse.session, reason="inaccurate")
        assert (answer["status"], answer["businessStatus"]) == ("rejected", "rejected"), answer
        (origin,) = matter.origins(f"Task/{task}")
        assert origin["agent"][-1]["who"]["reference"] == people.nurse.profile
        (message,) = matter.admin.find(f"Communication?subject={matter.subject['reference']}")
        assert "inaccurate" not in json.dumps(message)
        refused(matter.approve(task, people.doctor), "WRONG_STATUS")
        assert matter.written() == {}

    def test_withdrawn(self, matter: Matter, people: People) -> None:
        """By the author alone."""
        task = matter.note()["taskId"]
        answer = matter.decide(task, "withdraw", people.doctor.session)
        refused(answer, "NOT_THE_SUBMITTER", "UNAUTHORIZED")
        answer = matter.decide(task, "withdraw", people.author.session)
        assert (answer["status"], answer["businessStatus"]) == ("cancelled", "withdrawn")

    def test_expired(self, matter: Matter, people: People) -> None:
        """The sweep ends what is over; who approves too late is refused."""
        with _unheard(matter):
            swept, touched = (
                _as_bot(matter, "command-processor", _EXPIRED, task=matter.task(each["taskId"]))
                for each in (matter.note("One."), matter.note("Two."))
            )
            refused(matter.approve(touched["id"], people.doctor), "EXPIRED")
            answer = matter.run("approval-queue", {"action": "sweep"}, people.doctor.session)
        assert (answer["success"], answer["expired"]) == (True, 1), answer
        for task in (swept, touched):
            assert commands.business_status(matter.task(task["id"])) == "expired"
        assert matter.written() == {}

    def test_any_touch_ends_what_is_over(self, matter: Matter) -> None:
        """The subscription finds it too."""
        queued = matter.task(matter.note()["taskId"])
        task = _as_bot(matter, "command-processor", _EXPIRED, task=queued)
        matter.reaches(task["id"], "failed", "expired")

    def test_a_crash_after_the_effect(self, matter: Matter, people: People) -> None:
        """What a run had made before it crashed is found, not made again."""
        answer = matter.note()
        body = {
            "resourceType": "DocumentReference",
            "status": "current",
            "meta": {"security": [_LABEL]},
            "identifier": [
                {"system": f"{matter.stage.namespace}/command", "value": answer["commandId"]}
            ],
            "subject": matter.subject,
            "content": [{"attachment": {"title": "made before the crash"}}],
        }
        made = _as_bot(matter, "approval-queue", _CREATE, task=body)
        done = matter.approve(answer["taskId"], people.doctor)
        assert (done["status"], done["executedResourceId"]) == ("completed", made["id"]), done
        assert matter.written() == {"DocumentReference": 1}
        assert len(matter.origins(f"DocumentReference/{made['id']}")) == 1

    def test_an_effect_that_somebody_else_made(self, matter: Matter, people: People) -> None:
        """A record that a user gave the command's identifier is not taken for its effect."""
        answer = matter.note()
        people.clerk.session.create(
            {
                "resourceType": "DocumentReference",
                "status": "current",
                "identifier": [
                    {"system": f"{matter.stage.namespace}/command", "value": answer["commandId"]}
                ],
                "subject": matter.subject,
                "content": [{"attachment": {"title": "another"}}],
            }
        )
        refused(matter.approve(answer["taskId"], people.doctor), "IDENTIFIER_TAKEN")


class TestLeastPrivilege:
    """What the bot itself may do."""

    @pytest.mark.parametrize(
        "resource",
        [
            {"resourceType": "MedicationRequest", "status": "active", "intent": "order"},
            {"resourceType": "ServiceRequest", "status": "active", "intent": "order"},
        ],
        ids=lambda resource: resource["resourceType"],
    )
    def test_it_orders_nothing(self, matter: Matter, records: Scratch, resource: Json) -> None:
        """Its policy lets it write drafts alone: an order is 403, whatever its code says."""
        query = f"AccessPolicy?_tag={matter.stage.namespace}/policy|approval-queue"
        (policy,) = matter.admin.find(query)
        code = (
            "exports.handler = async (medplum, { input }) => {\n"
            "  const headers = { Authorization: 'Bearer ' + medplum.getAccessToken(),\n"
            "    'Content-Type': 'application/fhir+json' };\n"
            "  const url = medplum.getBaseUrl() + 'fhir/R4/' + input.resourceType;\n"
            "  const body = JSON.stringify(input);\n"
            "  const answer = await fetch(url, { method: 'POST', headers, body });\n"
            "  return { status: answer.status };\n"
            "};\n"
        )
        reference = {"reference": f"AccessPolicy/{policy['id']}"}
        bot = records.bot(code, accessPolicy=reference)
        content: Json = {
            **resource,
            "subject": matter.subject,
            "meta": {"security": [_LABEL]},
        }
        if resource["resourceType"] == "MedicationRequest":
            content["medicationCodeableConcept"] = {"text": "metformin"}
        draft = {**content, "status": "draft", "intent": "proposal"}
        asked = [medplum.expect(matter.admin.execute(bot["id"], each)) for each in (content, draft)]
        assert [each["status"] for each in asked] == [403, 201]


_LABEL = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": commands.AI_LABEL,
}
_CREATE = "exports.handler = async (medplum, { input }) => medplum.createResource(input.task);\n"
_EXPIRED = """exports.handler = async (medplum, { input }) => {
  const { id, meta, ...task } = input.task;
  task.restriction = { period: { end: '2020-01-01T00:00:00Z' } };
  return medplum.createResource({ ...task, meta: { security: meta.security } });
};
"""


@contextmanager
def _unheard(matter: Matter) -> Iterator[None]:
    """Let the subscription sleep for a while."""
    subscription = matter.stage.subscription("approval-queue-task")
    matter.admin.update({**subscription, "status": "off"})
    try:
        yield
    finally:
        matter.admin.update({**subscription, "status": "active"})


def _as_bot(matter: Matter, key: str, code: str, **body: object) -> Json:
    """Run other code once with the rights and the name of a bot; put the bot's own back."""
    bot = matter.stage.bot(key)
    before = bot["executableCode"]
    made: list[str] = []
    try:
        binary = matter.admin.post(
            "fhir/R4/Binary?_filename=index.js",
            content=code,
            headers={"Content-Type": "application/javascript"},
        )
        made.append(medplum.expect(binary, httpx.codes.CREATED)["id"])
        attachment = {**before, "url": f"Binary/{made[0]}"}
        matter.admin.update({**bot, "executableCode": attachment})
        answer: Json = medplum.expect(matter.admin.execute(bot["id"], body))
    finally:
        now = matter.admin.read(f"Bot/{bot['id']}")
        matter.admin.update({**now, "executableCode": before})
        for each in made:
            matter.admin.delete(f"fhir/R4/Binary/{each}")
    return answer
