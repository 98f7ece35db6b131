"""What a case has to do with: the stage, the people, the model, and what came of it so far."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.live import medplum
from tests.live.medplum import Json
from tests.live.safety_model import ModelControl
from tests.live.safety_people import NAMES, People
from tests.live.scratch import Scratch
from tests.live.stage import Stage


class BrokenError(AssertionError):
    """What must not happen happened."""


@dataclass
class Scene:
    """One run of one case."""

    stage: Stage
    made: Scratch
    """Remembers what is made, to be deleted."""
    people: People
    model: ModelControl
    bots: Mapping[str, Json]
    """The deployed Bots by key."""
    known: dict[str, Json] = field(default_factory=dict)
    """Resources by name."""
    answers: dict[str, Any] = field(default_factory=dict)
    """What bots answered, by name."""
    ran: list[str] = field(default_factory=list)
    """Keys of the bots that are known to have run."""
    begun: str = ""
    """When the attack began, by the server's clock."""
    undo: list[Callable[[], object]] = field(default_factory=list)
    """What puts the stage back, in reverse order."""

    def bot(self, key: str) -> str:
        """Return the id of a bot."""
        return str(self.bots[key]["id"])

    def policy(self, key: str) -> Json:
        """Return the AccessPolicy of a bot."""
        query = f"AccessPolicy?_tag={self.stage.namespace}/policy|{key}"
        (found,) = self.find(query)
        return found

    def set_policy(self, policy: Json) -> None:
        """Replace an AccessPolicy until the end of the case."""
        before = self.stage.clinic.admin.read(f"AccessPolicy/{policy['id']}")
        self.undo.append(lambda: self.stage.clinic.admin.update(before))
        self.stage.clinic.admin.update(policy)

    def set_code(self, key: str, code: bytes) -> None:
        """Replace a bot's code until the end of the case."""
        self.undo.append(replace_code(self.stage, self.bot(key), code))

    def find(self, query: str) -> list[Json]:
        """Return what the project's admin finds."""
        return self.stage.clinic.admin.find(query)

    def trail(self, event_type: str | None = None) -> list[Json]:
        """Return the bots' own AuditEvents since the attack began, of one type or of all."""
        subtype = f"{self.stage.namespace}/ai-audit-event|{event_type or ''}"
        return self.find(f"AuditEvent?subtype={subtype}&_lastUpdated=ge{self.begun}&_count=200")

    def reference(self, name: str) -> str:
        """Return `Type/id` of what is called so."""
        known = self.known[name]
        return f"{known['resourceType']}/{known['id']}"

    def filled(self, value: Any) -> Any:
        """Return a value with `${name}`, `${name.path}`, `${NOW}` and such filled in."""
        if isinstance(value, dict):
            return {self.filled(key): self.filled(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.filled(each) for each in value]
        if not isinstance(value, str):
            return copy.copy(value)
        whole = re.fullmatch(r"\$\{(\w+)\.([\w.]+)\}", value)
        if whole and whole[2] != "id" and whole[1] not in NAMES:
            return at(self.answers.get(whole[1], self.known.get(whole[1])), whole[2])
        return re.sub(r"\$\{([\w:.-]+)\}", lambda found: self._name(found[1]), value)

    def _name(self, name: str) -> str:
        if name == "NS":
            return self.stage.namespace
        if name == "PROJECT":
            return self.stage.clinic.id
        if name == "NOW" or name.startswith("AFTER:"):
            seconds = float(name.partition(":")[2] or 0)
            instant = datetime.now(UTC) + timedelta(seconds=seconds)
            return instant.isoformat(timespec="milliseconds")
        if name.startswith("BOT:"):
            return f"Bot/{self.bot(name.removeprefix('BOT:'))}"
        base, _, rest = name.partition(".")
        if base in NAMES:
            profile = self.people[base].profile
            return profile.partition("/")[2] if rest == "id" else profile
        if base in self.known and rest in {"", "id"}:
            return str(self.known[base]["id"]) if rest else self.reference(base)
        return str(at(self.answers.get(base, self.known.get(base)), rest))


def replace_code(stage: Stage, bot_id: str, code: bytes) -> Callable[[], object]:
    """Replace a bot's code on the server, and return what puts the old one back."""
    admin = stage.clinic.admin
    before = admin.read(f"Bot/{bot_id}")
    headers = {"Content-Type": "application/javascript"}
    answer = admin.post("fhir/R4/Binary?_filename=index.js", content=code, headers=headers)
    binary = medplum.expect(answer, 201)
    attachment = {"contentType": "application/javascript", "url": f"Binary/{binary['id']}"}
    admin.update({**before, "executableCode": {**attachment, "title": "index.js"}})
    return lambda: admin.update(before)


def at(value: Any, path: str) -> Any:
    """Return what stands at a dotted path; `#` is a list's length; None where there is nothing."""
    for part in path.split("."):
        if part == "#":
            value = len(value or ())
        elif isinstance(value, list):
            value = value[int(part)] if part.isdigit() and int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value


def text_of(value: Any) -> str:
    """Return a value as text to be searched: a text itself, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def short(value: Any) -> str:
    """Return a value as a message can show it."""
    return text_of(value)[:800]
