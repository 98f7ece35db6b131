"""Resources that a test makes; all are deleted after it, in the reverse order."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.live import medplum, polling, projects
from tests.live.medplum import Json, Session
from tests.live.projects import Clinic, Member

ECHO = "exports.handler = async (medplum, event) => event.input;\n"
"""Code of a bot that answers its input."""


class Scratch:
    """Makes things in a project and remembers them."""

    def __init__(self, clinic: Clinic) -> None:
        """Start with nothing."""
        self.clinic = clinic
        self.admin: Session = clinic.admin
        self._made: list[str] = []
        self._members: list[Member] = []

    @property
    def references(self) -> list[str]:
        """What is remembered so far."""
        return list(self._made)

    def keep(self, reference: str) -> str:
        """Remember something that was made otherwise, to be deleted."""
        self._made.append(reference)
        return reference

    def create(self, resource: Json) -> Json:
        """Create a resource as the project's admin."""
        made = self.admin.create(resource)
        self.keep(f"{made['resourceType']}/{made['id']}")
        return made

    def binary(self, content: bytes, content_type: str = "application/javascript") -> str:
        """Upload bytes; return `Binary/<id>`."""
        answer = self.admin.post(
            "fhir/R4/Binary?_filename=index.js",
            content=content,
            headers={"Content-Type": content_type},
        )
        return self.keep(f"Binary/{medplum.expect(answer, httpx.codes.CREATED)['id']}")

    def bot(self, code: str | None = ECHO, **fields: object) -> Json:
        """Make a Bot with its membership, by the admin's endpoint."""
        body: Json = {"name": projects.unique("bot"), "runtimeVersion": "vmcontext"}
        if code is not None:
            body["executableCode"] = attachment(code)
        body.update(fields)
        answer = self.admin.post(f"admin/projects/{self.clinic.id}/bot", json=body)
        made: Json = medplum.expect(answer, httpx.codes.CREATED)
        self.keep_bot(made["id"])
        return made

    def keep_bot(self, bot_id: str) -> None:
        """Remember a Bot that was made otherwise, with its membership."""
        self.keep(f"Bot/{bot_id}")
        for membership in self.memberships(bot_id):
            self.keep(f"ProjectMembership/{membership['id']}")

    def lonely_bot(self, code: str = ECHO, **fields: object) -> Json:
        """Make a Bot by plain FHIR create, which gives it no membership."""
        return self.create(
            {
                "resourceType": "Bot",
                "name": projects.unique("bot"),
                "runtimeVersion": "vmcontext",
                "executableCode": {
                    "contentType": "application/javascript",
                    "url": self.binary(code.encode()),
                },
                **fields,
            }
        )

    def memberships(self, *bot_ids: str) -> list[Json]:
        """Return the ProjectMemberships of Bots."""
        profiles = ",".join(f"Bot/{bot_id}" for bot_id in bot_ids)
        return self.admin.find(f"ProjectMembership?profile={profiles}")

    def run(self, code: str, body: object = None, **fields: object) -> httpx.Response:
        """Run code as a bot once, by `$execute`."""
        return self.admin.execute(self.bot(code, **fields)["id"], body)

    def subscription(self, criteria: str, endpoint: str, **fields: object) -> Json:
        """Make an active Subscription that runs a bot."""
        return self.create(
            {
                "resourceType": "Subscription",
                "status": "active",
                "reason": projects.unique("subscription"),
                "criteria": criteria,
                "channel": {"type": "rest-hook", "endpoint": endpoint},
                **fields,
            }
        )

    def member(self, policy: str | None = None, **more: object) -> Member:
        """Make somebody of the project."""
        self._members.append(projects.invite(self.clinic, policy, **more))
        return self._members[-1]

    def task(self, code: str, **fields: object) -> Json:
        """Make a Task with a code that subscriptions of this test alone look for."""
        return self.create({**task(code), **fields})

    def clean(self) -> None:
        """Delete all of it; what is gone already is no trouble."""
        for reference in reversed(self._made):
            self.admin.delete(f"fhir/R4/{reference}")
        for member in self._members:
            member.session.close()
            projects.remove_member(self.clinic, member.membership)


@contextmanager
def of(clinic: Clinic) -> Iterator[Scratch]:
    """Give a scratch of a project and clean it at the end."""
    made = Scratch(clinic)
    try:
        yield made
    finally:
        made.clean()


def attachment(code: str) -> Json:
    """Return code as an Attachment that holds its bytes."""
    data = base64.b64encode(code.encode()).decode()
    return {"contentType": "application/javascript", "title": "index.js", "data": data}


def own_code() -> str:
    """Return a code that no other test looks for."""
    return f"live-{uuid.uuid4().hex}"


SYSTEM = "urn:medbots:live"


def task(code: str, system: str = SYSTEM) -> Json:
    """Return a Task with a code."""
    return {
        "resourceType": "Task",
        "status": "requested",
        "intent": "proposal",
        "code": {"coding": [{"system": system, "code": code}]},
    }


def runs(session: Session, reference: str) -> list[Json]:
    """Return the AuditEvents of the runs that name a Subscription or a Bot, newest first."""
    return session.find(f"AuditEvent?entity={reference}&_sort=-_lastUpdated&_count=50")


def wait_for_runs(session: Session, reference: str, number: int = 1) -> list[Json]:
    """Wait until so many runs of a Subscription or a Bot were audited; return all there are."""

    def enough() -> list[Json] | None:
        found = runs(session, reference)
        return found if len(found) >= number else None

    return polling.until(enough, f"{number} runs of {reference}")


def wait_for(session: Session, query: str) -> list[Json]:
    """Wait until a search finds something, and return it."""
    return polling.until(lambda: session.find(query), f"a result of {query}")
