"""What can be done with commands and their approval in an adversarial case: more verbs of `do`."""

from __future__ import annotations

import time

from tests.live import medplum, safety_forgery
from tests.live.medplum import Json
from tests.live.safety_scene import replace_code
from tests.live.safety_steps import Steps

PROCESSOR = "command-processor"
QUEUE = "approval-queue"
SETTLED_SECONDS = 0.5
"""For so long a bot has nothing to do when it has done all; no run of one takes longer."""


class CommandSteps(Steps):
    """Does what a case says, with commands too: hands them in, forges them, decides about them."""

    def _do_command(self, wish: Json) -> None:
        """Hand in `command`, or `text` to the letter, `as` somebody; `save` the answer."""
        given = {"input": wish["command"]} if "command" in wish else {"text": wish["text"]}
        more: Json = {name: wish[name] for name in ("as", "headers", "save") if name in wish}
        self._do_execute({"bot": PROCESSOR, **given, **more})

    def _do_critical(self, name: str) -> None:
        """Ask for decision support on the critical results of a patient."""
        request = {"patientId": f"${{{name}.id}}", "analysisTypes": ["critical"]}
        self._do_execute({"bot": "clinical-decision-support", "input": request})

    def _do_queue(self, wish: Json) -> None:
        """Hand in a `command` that has to wait, by default as the nurse; call its Task `name`."""
        name = wish.get("name", "task")
        self._do_command({"command": wish["command"], "as": wish.get("as", "nurse"), "save": name})
        answer = self._scene.answers.pop(name)
        assert answer.get("action") == "queued", answer
        self._know(name, f"Task/{answer['taskId']}")

    def _do_decide(self, wish: Json) -> None:
        """Decide about `task`: by default the doctor approves; `more` fields of the input."""
        more: Json = {name: wish[name] for name in ("as", "headers", "save") if name in wish}
        decision = {
            "taskId": f"${{{wish.get('task', 'task')}.id}}",
            "decision": wish.get("decision", "approve"),
            **wish.get("more", {}),
        }
        self._do_execute({"bot": QUEUE, "input": decision, **more})

    def _do_sweep(self, wish: Json) -> None:
        """Have the queue looked after, as a cron job does; `save` the answer."""
        self._do_execute({"bot": QUEUE, "input": {"action": "sweep"}, **wish})

    def _do_forge(self, wish: Json) -> None:
        """Make a Task of `command` and call it `name`, as somebody or in the name of a `bot`.

        It is right in every detail but those that `set` says; `roles` and `mode` are of approval.
        With `only` it is made nowhere, and what is called so has its fields.
        """
        scene = self._scene
        command = scene.filled(wish["command"])
        requester = scene.people[wish.get("requester", "nurse")].profile
        more = {name: wish[name] for name in ("roles", "mode") if name in wish}
        forged = safety_forgery.task(scene.stage.namespace, command, requester, **more)
        forged |= scene.filled(wish.get("set", {}))
        name = wish.get("name", "task")
        if wish.get("only"):
            scene.answers[name] = forged
        elif "bot" in wish:
            self._know(name, self._written(wish["bot"], forged))
        else:
            made = scene.people[wish.get("as", "admin")].session.create(forged)
            self._know(name, f"Task/{made['id']}")

    def _do_new_bot(self, wish: Json) -> None:
        """Make a Bot that writes what it is told, with `also` fields, until the end of the case."""
        scene = self._scene
        made = scene.made.bot(safety_forgery.WRITER)
        scene.undo.append(lambda: scene.made.admin.delete(f"fhir/R4/Bot/{made['id']}"))
        scene.made.admin.update({**made, **scene.filled(wish.get("also", {}))})
        scene.known[wish["name"]] = made

    def _do_write_as(self, wish: Json) -> None:
        """Change `resource` in the name of `bot`: `set` fields."""
        scene = self._scene
        current = scene.made.admin.read(scene.reference(wish["resource"]))
        changed = {**current, **scene.filled(wish["set"])}
        self._know(wish["resource"], self._written(wish["bot"], changed))

    def _do_asleep(self, wish: Json) -> None:
        """Do steps (`do`) while `bot` hears events and does nothing."""
        scene = self._scene
        wake = replace_code(scene.stage, scene.bot(wish["bot"]), safety_forgery.WRITER.encode())
        try:
            for step in wish["do"]:
                self.do(step)
        finally:
            wake()

    def _do_identify(self, wish: Json) -> None:
        """Work out the id of `command` as anybody can, and call it `name`."""
        command_id = safety_forgery.command_id(self._scene.filled(wish["command"]))
        self._scene.answers[wish["name"]] = {"commandId": command_id}

    def _written(self, name: str, resource: Json) -> str:
        """Write a resource in the name of a bot, ours or a new one, and return its reference."""
        scene = self._scene
        body = {"safetyWrite": resource}
        if name in scene.known:
            made = medplum.expect(scene.made.admin.execute(scene.known[name]["id"], body))
        else:
            undo = replace_code(scene.stage, scene.bot(name), safety_forgery.WRITER.encode())
            try:
                made = medplum.expect(scene.made.admin.execute(scene.bot(name), body))
            finally:
                undo()
        return f"{made['resourceType']}/{made['id']}"

    def _do_role(self, wish: Json) -> None:
        """Give somebody (`of`) a PractitionerRole by its `code`, until the end of the case."""
        scene = self._scene
        role = {
            "resourceType": "PractitionerRole",
            "active": True,
            "practitioner": {"reference": scene.people[wish["of"]].profile},
            "code": [
                {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/practitioner-role",
                            "code": wish["code"],
                        }
                    ]
                }
            ],
            **scene.filled(wish.get("also", {})),
        }
        self._until_the_end(role)

    def _do_subscribe(self, wish: Json) -> None:
        """Have `criteria` run `bot` once more, until the end of the case."""
        endpoint = f"Bot/{self._scene.bot(wish['bot'])}"
        subscription = {
            "resourceType": "Subscription",
            "status": "active",
            "reason": "A second one of the same kind",
            "criteria": wish["criteria"],
            "channel": {"type": "rest-hook", "endpoint": endpoint},
        }
        self._until_the_end(subscription)

    def _do_settled(self, wish: Json) -> None:
        """Wait until `bot` has not been run for `resource` for a while."""
        scene = self._scene
        source = f"Bot/{scene.bot(wish['bot'])}"
        entity = scene.reference(wish["resource"])
        query = f"AuditEvent?source={source}&type=execute&entity={entity}&_count=50"
        seen = -1
        while len(found := scene.find(query)) != seen:
            seen = len(found)
            time.sleep(SETTLED_SECONDS)

    def _until_the_end(self, resource: Json) -> None:
        admin = self._scene.stage.clinic.admin
        made = admin.create(resource)
        path = f"fhir/R4/{made['resourceType']}/{made['id']}"
        self._scene.undo.append(lambda: admin.delete(path))

    def _know(self, name: str, reference: str) -> None:
        """Call a resource by a name, and have it deleted at the end."""
        self._scene.made.keep(reference)
        self._scene.known[name] = self._scene.stage.clinic.admin.read(reference)

    def _do_for_each(self, wish: Json) -> None:
        """Do a step for each value of a list, which is `${each.value}` in it."""
        for value in wish["in"]:
            self._scene.answers["each"] = {"value": value}
            self.do(wish["do"])
