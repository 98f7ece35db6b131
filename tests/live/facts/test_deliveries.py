"""Facts of what a Subscription sends to a bot: on which interaction, how often, and as whom."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.live import medplum, scratch
from tests.live.medplum import EXTENDED
from tests.live.projects import Clinic
from tests.live.scratch import SYSTEM, Scratch
from tests.live.watch import Watch

INTERACTION = "https://medplum.com/fhir/StructureDefinition/subscription-supported-interaction"


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

    def test_two_are_one_too_many(self, watch: Watch, of_5_1: bool) -> None:
        """Two such extensions: 5.1 honours only one of them, later releases both."""
        every = watch.on()
        both = watch.on(
            extension=[
                {"url": INTERACTION, "valueCode": interaction}
                for interaction in ("create", "update")
            ]
        )
        self.live_through(watch, every)
        wanted = 1 if of_5_1 else 2
        watch.wait(both, wanted)
        assert len(watch.runs(both)) == wanted

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
        creates = [{"url": INTERACTION, "valueCode": "create"}]
        bots.subscription(f"Task?code={code}", f"Bot/{bot_id}", extension=creates)
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
