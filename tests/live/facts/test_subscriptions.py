"""Facts of Subscriptions: what is accepted, what fires, how often, and as whom."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from tests.live import medplum, scratch
from tests.live.medplum import EXTENDED, Json
from tests.live.projects import Clinic
from tests.live.scratch import SYSTEM, Scratch

CODES = httpx.codes
EXTENSION = "https://medplum.com/fhir/StructureDefinition/"
INTERACTION = f"{EXTENSION}subscription-supported-interaction"
FHIRPATH = f"{EXTENSION}fhir-path-criteria-expression"
NO_BOT = "Bot/00000000-0000-4000-8000-000000000000"
WHOLE = {
    "resourceType": "Subscription",
    "status": "active",
    "reason": "live",
    "criteria": "Task",
    "channel": {"type": "rest-hook", "endpoint": NO_BOT},
}
FINISHING = "%previous.status != 'finished' and %current.status = 'finished'"
FINISHING_OR_FINISHED = (
    "(%previous.status.exists().not() or %previous.status != 'finished')"
    " and %current.status = 'finished'"
)


class Watch:
    """Subscriptions of one bot on things of this test alone, and what each of them ran for."""

    def __init__(self, bots: Scratch) -> None:
        """Make a bot that does nothing."""
        self.bots = bots
        self.code = scratch.own_code()
        self.endpoint = f"Bot/{bots.bot()['id']}"

    def on(self, criteria: str | None = None, **fields: object) -> str:
        """Subscribe; return the Subscription's reference. Default: every Task of this test."""
        made = self.bots.subscription(criteria or f"Task?code={self.code}", self.endpoint, **fields)
        return f"Subscription/{made['id']}"

    def runs(self, subscription: str) -> list[str]:
        """Return what a Subscription ran for, oldest first; "" for what is deleted."""
        return [subject_of(each) for each in reversed(scratch.runs(self.bots.admin, subscription))]

    def wait(self, subscription: str, number: int) -> list[str]:
        """Wait for so many runs, and return what they were for."""
        scratch.wait_for_runs(self.bots.admin, subscription, number)
        return self.runs(subscription)


def subject_of(event: Json) -> str:
    """Return the reference of a run's input; that of a deleted resource is not named."""
    references = (str(each["what"]["reference"]) for each in event["entity"])
    others = (each for each in references if not each.startswith(("Bot/", "Subscription/")))
    return next(others, "")


@pytest.fixture
def watch(bots: Scratch) -> Watch:
    """Subscriptions of one bot, in a project where bots run."""
    return Watch(bots)


class TestAccepted:
    """What the server checks of a Subscription, and what it lets pass."""

    @pytest.mark.parametrize("name", ["status", "reason", "criteria", "channel"])
    def test_what_is_required(self, made: Scratch, name: str) -> None:
        """status, reason, criteria and channel are required: 400."""
        partial = {key: value for key, value in WHOLE.items() if key != name}
        answer = made.admin.post("fhir/R4/Subscription", json=partial)
        assert answer.status_code == CODES.BAD_REQUEST
        assert answer.json()["issue"][0]["expression"] == [f"Subscription.{name}"]

    def test_channel_type_is_required(self, made: Scratch) -> None:
        """channel.type is required: 400."""
        partial = {**WHOLE, "channel": {"endpoint": NO_BOT}}
        answer = made.admin.post("fhir/R4/Subscription", json=partial)
        assert answer.status_code == CODES.BAD_REQUEST
        assert answer.json()["issue"][0]["expression"] == ["Subscription.channel.type"]

    @pytest.mark.parametrize(
        "fields",
        [
            {"channel": {"type": "rest-hook"}},
            {"status": "foo"},
            {"criteria": "Foo"},
            {"criteria": "Task?foo=bar"},
            {"channel": {"type": "rest-hook", "endpoint": NO_BOT}},
        ],
        ids=["no-endpoint", "status", "type", "parameter", "no-such-bot"],
    )
    def test_what_never_fires(self, watch: Watch, fields: Json) -> None:
        """No endpoint, status `foo`, criteria `Foo` or `Task?foo=bar`, no such bot: 201, silent.

        Another Subscription on the same event shows that the event was handled.
        """
        silent = watch.on(**fields)
        control = watch.on()
        task = watch.bots.task(watch.code)
        assert watch.wait(control, 1)[0].startswith(f"Task/{task['id']}")
        assert watch.runs(silent) == []
        kept = watch.bots.admin.read(silent)
        assert {key: kept[key] for key in fields} == fields

    def test_an_inactive_one_is_silent(self, watch: Watch) -> None:
        """Status `off`: nothing fires."""
        silent, control = watch.on(status="off"), watch.on()
        watch.bots.task(watch.code)
        watch.wait(control, 1)
        assert watch.runs(silent) == []


class TestFind:
    """How Subscriptions are found."""

    def test_by_endpoint(self, bots: Scratch) -> None:
        """`Subscription?url=Bot/a,Bot/b&_count=100` finds those of both."""
        ids = [bots.bot(None)["id"] for _ in range(2)]
        wanted = {bots.subscription("Task", f"Bot/{each}")["id"] for each in ids}
        urls = ",".join(f"Bot/{each}" for each in ids)
        found = bots.admin.find(f"Subscription?url={urls}&_count=100")
        assert {each["id"] for each in found} == wanted

    @pytest.mark.parametrize(("modifier", "number"), [("", 2), (":exact", 1)])
    def test_by_criteria(self, made: Scratch, modifier: str, number: int) -> None:
        """`criteria=` is a prefix match; `criteria:exact=` is exact."""
        code = scratch.own_code()
        for criteria in (f"Task?code={code}", f"Task?code={code}x"):
            made.subscription(criteria, NO_BOT)
        query = f"Subscription?criteria{modifier}=Task%3Fcode%3D{code}"
        assert len(made.admin.find(query)) == number


class TestCriteria:
    """What criteria match."""

    @pytest.mark.parametrize(
        ("criteria", "fires"),
        [
            ("Task?code={code}", True),
            ("Task?code={system}|{code}", True),
            ("Task?code=urn:medbots:other|{code}", False),
            ("Task?code={system}", False),
            ("Task?code={code}&status=requested", True),
            ("Task?code={code}&status=completed", False),
        ],
        ids=["any-system", "system", "other-system", "system-without-bar", "both", "not-both"],
    )
    def test_a_code(self, watch: Watch, criteria: str, fires: bool) -> None:
        """`code=x` matches any system; `code=<system>` without `|` matches nothing."""
        asked = watch.on(criteria.format(code=watch.code, system=SYSTEM))
        control = watch.on()
        watch.bots.task(watch.code)
        watch.wait(control, 1)
        if fires:
            watch.wait(asked, 1)
        else:
            assert watch.runs(asked) == []

    def test_a_status_fires_on_every_edit(self, watch: Watch) -> None:
        """`Encounter?status=finished` fires on every edit of a finished Encounter."""
        finished = watch.on(f"Encounter?status=finished&identifier={watch.code}")
        encounter = watch.bots.create(encounter_of(watch.code, "in-progress"))
        encounter = watch.bots.admin.update({**encounter, "status": "finished"})
        watch.wait(finished, 1)
        watch.bots.admin.update({**encounter, "language": "en"})
        assert len(watch.wait(finished, 2)) == 2

    def test_fhirpath_fires_once(self, watch: Watch) -> None:
        """The FHIRPath extension with `%previous` and `%current` fires on the change alone."""
        once = watch.on(
            f"Encounter?identifier={watch.code}",
            extension=[{"url": FHIRPATH, "valueString": FINISHING}],
        )
        control = watch.on(f"Encounter?identifier={watch.code}")
        encounter = watch.bots.create(encounter_of(watch.code, "in-progress"))
        watch.wait(control, 1)
        finished = watch.bots.admin.update({**encounter, "status": "finished"})
        watch.wait(control, 2)
        watch.bots.admin.update({**finished, "language": "en"})
        watch.wait(control, 3)
        (run,) = watch.wait(once, 1)
        assert run.startswith(f"Encounter/{encounter['id']}")

    @pytest.mark.parametrize(
        ("expression", "runs"),
        [(FINISHING, 0), (FINISHING_OR_FINISHED, 1)],
        ids=["bare", "exists-not"],
    )
    def test_previous_is_empty_on_create(self, watch: Watch, expression: str, runs: int) -> None:
        """On create `%previous` is empty: a bare comparison is silent, `exists().not()` helps."""
        asked = watch.on(
            f"Encounter?identifier={watch.code}",
            extension=[{"url": FHIRPATH, "valueString": expression}],
        )
        control = watch.on(f"Encounter?identifier={watch.code}")
        watch.bots.create(encounter_of(watch.code, "finished"))
        watch.wait(control, 1)
        if runs:
            watch.wait(asked, runs)
        assert len(watch.runs(asked)) == runs


class TestInteraction:
    """Create, update and delete."""

    def live_through(self, watch: Watch, every: str) -> str:
        """Create, update and delete a Task; return its id when all three were handled."""
        task = watch.bots.task(watch.code)
        watch.wait(every, 1)
        watch.bots.admin.update({**task, "status": "received"})
        watch.wait(every, 2)
        medplum.expect(watch.bots.admin.delete(f"fhir/R4/Task/{task['id']}"))
        watch.wait(every, 3)
        return str(task["id"])

    def test_without_the_extension_all_fire(self, watch: Watch) -> None:
        """Without supported-interaction, creates, updates and deletes fire."""
        every = watch.on()
        task = self.live_through(watch, every)
        created, updated, deleted = watch.runs(every)
        assert created.split("/")[:2] == updated.split("/")[:2] == ["Task", task]
        assert deleted == ""

    @pytest.mark.parametrize("interaction", ["create", "update", "delete"])
    def test_one_is_honoured(self, watch: Watch, interaction: str) -> None:
        """With it, one interaction fires alone."""
        every = watch.on()
        one = watch.on(extension=[{"url": INTERACTION, "valueCode": interaction}])
        self.live_through(watch, every)
        watch.wait(one, 1)
        assert len(watch.runs(one)) == 1

    def test_only_the_first_of_two_is_honoured(self, watch: Watch) -> None:
        """Two such extensions: only one of them is honoured."""
        every = watch.on()
        both = watch.on(
            extension=[
                {"url": INTERACTION, "valueCode": interaction}
                for interaction in ("create", "update")
            ]
        )
        self.live_through(watch, every)
        watch.wait(both, 1)
        assert len(watch.runs(both)) == 1

    def test_a_delete_brings_the_deleted_resource(self, bots: Scratch) -> None:
        """A delete's input is `{deletedResource}`."""
        code = scratch.own_code()
        keep = (
            "exports.handler = async (medplum, event) => {"
            " console.log(JSON.stringify({ keys: Object.keys(event.input),"
            " type: event.input.deletedResource?.resourceType,"
            " id: event.input.deletedResource?.id })); };\n"
        )
        bot_id = bots.bot(keep)["id"]
        subscription = bots.subscription(
            f"Task?code={code}",
            f"Bot/{bot_id}",
            extension=[{"url": INTERACTION, "valueCode": "delete"}],
        )
        task = bots.task(code)
        bots.admin.delete(f"fhir/R4/Task/{task['id']}")
        (event,) = scratch.wait_for_runs(bots.admin, f"Subscription/{subscription['id']}")
        assert json.loads(event["outcomeDesc"]) == {
            "keys": ["deletedResource"],
            "type": "Task",
            "id": task["id"],
        }


class TestRuns:
    """How often a bot runs, and what its AuditEvent says."""

    def test_two_equal_subscriptions_run_twice(self, watch: Watch) -> None:
        """Two equal Subscriptions run the bot twice for one event."""
        first, second = watch.on(), watch.on()
        watch.bots.task(watch.code)
        assert (len(watch.wait(first, 1)), len(watch.wait(second, 1))) == (1, 1)

    def test_a_failing_bot_is_not_retried(self, bots: Scratch) -> None:
        """A bot that throws runs once, with outcome 4; the Subscription stays active."""
        code = scratch.own_code()
        failing = bots.bot("exports.handler = async () => { throw new Error('boom'); };\n")["id"]
        subscription = (
            f"Subscription/{bots.subscription(f'Task?code={code}', f'Bot/{failing}')['id']}"
        )
        control = Watch(bots)
        control.code = code
        every = control.on()
        bots.task(code)
        (event,) = scratch.wait_for_runs(bots.admin, subscription)
        assert event["outcome"] == "4"
        for number in (2, 3):
            bots.task(code)
            control.wait(every, number)
        scratch.wait_for_runs(bots.admin, subscription, 3)
        assert len(scratch.runs(bots.admin, subscription)) == 3
        assert bots.admin.read(subscription)["status"] == "active"

    def test_there_is_no_loop_protection(self, bots: Scratch) -> None:
        """A bot that updates its own trigger fires again; this one stops at the third."""
        code = scratch.own_code()
        turn = (
            "exports.handler = async (medplum, event) => {\n"
            "  const turn = (event.input.priority ? { routine: 'urgent', urgent: 'asap' }"
            "[event.input.priority] : 'routine');\n"
            "  if (turn) { await medplum.updateResource({ ...event.input, priority: turn }); }\n"
            "};\n"
        )
        bot_id = bots.bot(turn)["id"]
        subscription = bots.subscription(f"Task?code={code}", f"Bot/{bot_id}")
        task = bots.task(code)
        reference = f"Subscription/{subscription['id']}"
        assert len(scratch.wait_for_runs(bots.admin, reference, 4)) == 4
        assert bots.admin.read(f"Task/{task['id']}")["priority"] == "asap"

    def test_it_runs_as_the_bot(self, bots: Scratch) -> None:
        """What the bot writes has the bot for its author; `event.requester` is who wrote."""
        code = scratch.own_code()
        note = (
            "exports.handler = async (medplum, event) => {"
            " await medplum.createResource({ resourceType: 'Basic',"
            " code: { text: event.requester.reference },"
            " subject: { reference: 'Task/' + event.input.id } }); };\n"
        )
        bot_id = bots.bot(note)["id"]
        bots.subscription(f"Task?code={code}", f"Bot/{bot_id}")
        member = bots.member()
        task = member.session.create(scratch.task(code))
        bots.keep(f"Task/{task['id']}")
        (basic,) = scratch.wait_for(bots.admin, f"Basic?subject=Task/{task['id']}")
        bots.keep(f"Basic/{basic['id']}")
        assert basic["code"]["text"] == member.profile
        extended = bots.admin.read(f"Basic/{basic['id']}", EXTENDED)
        assert extended["meta"]["author"]["reference"] == f"Bot/{bot_id}"

    def test_only_its_own_project_fires(
        self, new_project: Callable[..., Clinic], watch: Watch
    ) -> None:
        """A Subscription fires for resources of its own project alone."""
        every = watch.on()
        other = new_project("neighbour", "bots")
        other.admin.create(scratch.task(watch.code))
        task = watch.bots.task(watch.code)
        (run,) = watch.wait(every, 1)
        assert run.startswith(f"Task/{task['id']}")

    def test_the_audit_event_names_all(self, watch: Watch) -> None:
        """Entities: the Bot, the input and the Subscription."""
        every = watch.on()
        task = watch.bots.task(watch.code)
        (event,) = scratch.wait_for_runs(watch.bots.admin, every)
        bot, subject, subscription = (each["what"]["reference"] for each in event["entity"])
        assert (bot, subscription) == (watch.endpoint, every)
        assert subject.split("/")[:2] == ["Task", task["id"]]
        assert event["source"]["observer"]["reference"] == watch.endpoint
        assert (event["type"]["code"], event["outcome"]) == ("execute", "0")

    def test_it_holds_the_records_words(self, watch: Watch) -> None:
        """The display of a Condition stands in the server's own AuditEvent: patient data."""
        condition_code = f"display {watch.code}"
        patient = watch.bots.create({"resourceType": "Patient"})
        every = watch.on(f"Condition?code={watch.code}")
        watch.bots.create(
            {
                "resourceType": "Condition",
                "subject": {"reference": f"Patient/{patient['id']}"},
                "code": {
                    "coding": [{"system": SYSTEM, "code": watch.code}],
                    "text": condition_code,
                },
            }
        )
        (event,) = scratch.wait_for_runs(watch.bots.admin, every)
        assert condition_code in [each["what"].get("display") for each in event["entity"]]

    def test_a_put_of_a_deleted_resource_fires(self, watch: Watch) -> None:
        """A PUT that brings a deleted resource back fires again."""
        every = watch.on()
        task = watch.bots.task(watch.code)
        watch.wait(every, 1)
        watch.bots.admin.delete(f"fhir/R4/Task/{task['id']}")
        watch.wait(every, 2)
        watch.bots.admin.update(task)
        watch.wait(every, 3)


def encounter_of(code: str, status: str) -> Json:
    """Return an Encounter with an identifier that this test alone looks for."""
    return {
        "resourceType": "Encounter",
        "identifier": [{"system": SYSTEM, "value": code}],
        "status": status,
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
    }
