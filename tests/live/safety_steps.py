"""What can be done in an adversarial case: one method a verb of `do`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any

import httpx

from tests.live import medplum, polling
from tests.live.medplum import Json
from tests.live.safety_scene import Scene

FOREIGN_PROJECT = "00000000-0000-4000-8000-00000000f0f0"
"""A project of nobody, whose rows stand in the same database."""


class Steps:
    """Does what a case says."""

    def __init__(self, scene: Scene) -> None:
        """Act in a scene."""
        self._scene = scene
        self._admin = scene.stage.clinic.admin

    def do(self, step: Json) -> None:
        """Do one step, a mapping of its verb to what the verb needs.

        Raises:
            AssertionError: it cannot be done.
        """
        (verb, wish), *more = step.items()
        assert not more, f"one verb a step: {step}"
        method: Callable[[Any], None] = getattr(self, f"_do_{verb}")
        method(wish)

    def _do_execute(self, wish: Json) -> None:
        """Run a bot: `bot`, `input` or `text` (a body as it is), `as`, `headers`, `save`."""
        scene, key = self._scene, wish["bot"]
        body = self._filled(wish["input"]) if "input" in wish else None
        content = (
            self._filled(wish["text"]) if "text" in wish else json.dumps(body, ensure_ascii=False)
        )
        headers = {
            "Content-Type": wish.get("contentType", "application/json"),
            **self._filled(wish.get("headers", {})),
        }
        session = scene.people[wish.get("as", "doctor")].session
        path = f"fhir/R4/Bot/{scene.bot(key)}/$execute"
        answer = session.post(path, content=content.encode("utf-8", "replace"), headers=headers)
        scene.answers[wish.get("save", "answer")] = said = _content(answer)
        if isinstance(said, dict) and isinstance(said.get("success"), bool):
            scene.ran.append(key)

    def _do_create(self, wish: Json) -> None:
        """Create `resource`, and call it `name`."""
        session = self._scene.people[wish.get("as", "admin")].session
        made = session.create(self._filled(wish["resource"]))
        self._scene.made.keep(f"{made['resourceType']}/{made['id']}")
        self._scene.known[wish.get("name", "created")] = made

    def _do_upload(self, wish: Json) -> None:
        """Upload `text` as a Binary, and call it `name`."""
        content = str(wish["text"]).encode()
        reference = self._scene.made.binary(content, wish.get("contentType", "text/plain"))
        self._scene.known[wish["name"]] = {
            "resourceType": "Binary",
            "id": reference.partition("/")[2],
        }

    def _do_refused(self, wish: Json) -> None:
        """Do something that the server itself should refuse, and go on whatever it says."""
        session = self._scene.people[wish.get("as", "doctor")].session
        request = self._filled(wish)
        session.request(request["method"], f"fhir/R4/{request['url']}", json=request.get("body"))

    def _do_change(self, wish: Json) -> None:
        """Update `resource`: `set` fields, `remove` others."""
        session = self._scene.people[wish.get("as", "admin")].session
        current = session.read(self._scene.reference(wish["resource"]))
        changed = {**current, **self._filled(wish.get("set", {}))}
        for name in wish.get("remove", ()):
            changed.pop(name, None)
        self._scene.known[wish["resource"]] = session.update(changed)

    def _do_patch(self, wish: Json) -> None:
        """Send JSON Patch `operations` to `resource`, `as` somebody."""
        session = self._scene.people[wish.get("as", "admin")].session
        path = f"fhir/R4/{self._scene.reference(wish['resource'])}"
        medplum.expect(session.change(path, self._filled(wish["operations"])))

    def _do_delete(self, wish: str) -> None:
        """Delete a resource."""
        medplum.expect(self._admin.delete(f"fhir/R4/{self._scene.reference(wish)}"))

    def _do_put_back(self, wish: Json) -> None:
        """Write a deleted resource again under its id, with `set` fields."""
        before = {**self._scene.known[wish["resource"]], **self._filled(wish.get("set", {}))}
        before["meta"] = {}
        self._scene.known[wish["resource"]] = self._admin.update(before)

    def _do_remember(self, wish: Json) -> None:
        """Find a resource by `search`, and call it `name`."""
        query = self._filled(wish["search"])
        (found,) = polling.until(lambda: self._scene.find(query), query)
        self._scene.made.keep(f"{found['resourceType']}/{found['id']}")
        self._scene.known[wish["name"]] = found

    def _do_together(self, wish: Sequence[Json]) -> None:
        """Do several steps at the same time."""
        # Whoever acts is there before: a login takes longer than what they do.
        wishes = [each for step in wish for each in step.values() if isinstance(each, dict)]
        for name in ("doctor", *(each["as"] for each in wishes if "as" in each)):
            _ = self._scene.people[name]
        with futures.ThreadPoolExecutor(len(wish)) as pool:
            list(pool.map(self.do, wish))

    def _do_ran(self, wish: Json) -> None:
        """Wait until a subscription has run `bot` for `resource`, `times` times."""
        key, times = wish["bot"], int(wish.get("times", 1))
        resource = self._scene.reference(wish["resource"])
        source = f"Bot/{self._scene.bot(key)}"
        query = f"AuditEvent?source={source}&type=execute&entity={resource}&_count=50"

        def enough() -> bool:
            return len(self._scene.find(query)) >= times

        polling.until(enough, f"{times} runs of {key} for {wish['resource']}")
        self._scene.ran.append(key)

    def _do_embedded(self, wish: str) -> None:
        """Wait until the vectors of a resource's current version are there."""
        self._scene.stage.wait_for_rows(self._scene.known[wish])
        self._scene.ran.append("embedding")

    def _do_gone(self, wish: str) -> None:
        """Wait until the store knows that a resource is deleted."""
        known = self._scene.known[wish]
        polling.until(lambda: self._scene.stage.tombstones(known), f"the end of {wish}")
        self._scene.ran.append("embedding")

    def _do_pause(self, seconds: float) -> None:
        """Wait for some seconds, where something else is to have begun."""
        time.sleep(seconds)

    def _do_struck(self, _: object) -> None:
        """Wait until every fault that was to come has come."""
        polling.until(lambda: not self._scene.model.pending(), "the fault to strike")

    def _do_fault(self, wish: Json) -> None:
        """Have the model server do something wrong from now on."""
        self._scene.model.add(wish)

    def _do_mend(self, _: object) -> None:
        """Have the model server do nothing wrong any more."""
        self._scene.model.end()

    def _do_secrets(self, wish: Json) -> None:
        """Give secrets of the project other values, until the end of the case."""
        before = self._scene.stage.secrets()
        self._scene.undo.append(lambda: self._set_secrets(before))
        self._set_secrets({**before, **self._filled(wish)})

    def _set_secrets(self, values: dict[str, str]) -> None:
        body = [{"name": name, "valueString": value} for name, value in values.items()]
        path = f"admin/projects/{self._scene.stage.clinic.id}/secrets"
        medplum.expect(self._admin.post(path, json=body))

    def _do_foreign_rows(self, name: str) -> None:
        """Have rows like those of a resource in a project of nobody, as a shared database does."""
        columns = (
            "fhir_resource_type, version_id, patient_id, model_version, content_hash,"
            " resource_updated_at, chunk_index, chunk_count, content_type, content_section,"
            " content_text, embedding"
        )
        query = (
            f"INSERT INTO clinical_embeddings (project_id, fhir_resource_id, {columns})"  # noqa: S608
            f" SELECT %s, gen_random_uuid(), {columns} FROM clinical_embeddings"
            " WHERE project_id = %s AND fhir_resource_id = %s"
        )
        own, known = self._scene.stage.clinic.id, self._scene.known[name]
        with self._scene.stage.database() as connection:
            connection.execute(query.encode(), (FOREIGN_PROJECT, own, known["id"]))
        self._scene.undo.append(lambda: self._forget_rows(FOREIGN_PROJECT))

    def _forget_rows(self, project: str) -> None:
        with self._scene.stage.database() as connection:
            connection.execute("DELETE FROM clinical_embeddings WHERE project_id = %s", (project,))

    def _do_rights(self, wish: Json) -> None:
        """Take the rights on a type (`without`) from `bot`, until the end of the case."""
        policy = self._scene.policy(wish["bot"])
        rules = [one for one in policy["resource"] if one["resourceType"] != wish["without"]]
        self._scene.set_policy({**policy, "resource": rules})

    def _do_seize(self, wish: Json) -> None:
        """Put hostile code in the place of a bot's own, until the end of the case."""
        self._scene.set_code(wish["bot"], self._filled(wish["code"]).encode())

    def _filled(self, value: Any) -> Any:
        return self._scene.filled(value)


def _content(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return {"text": answer.text}
