"""One line of a plan."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from medbots import model, state

ADMIN = "a project admin"
SUPER_ADMIN = "a super admin of this server"

Spec = model.BotSpec | model.SubscriptionSpec | model.DeviceSpec | model.SecretSpec | str


class Action(enum.StrEnum):
    """What is done to one thing."""

    CREATE = "create"
    UPDATE = "update"
    ADOPT = "adopt"
    DELETE = "delete"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a plan."""

    kind: state.Kind
    key: str
    name: str
    action: Action
    spec: Spec
    id: str | None = None
    """Server id; None: it does not exist yet."""
    fields: tuple[str, ...] = ()
    """What differs, in the words of FHIR."""
    digest: str | None = None
    was_digest: str | None = None
    note: str = ""
    """Something to say aloud: an adoption, code replaced behind our back, a duplicate."""
    skip: str = ""
    """Why this is left out; the rest of the plan goes on."""
    blocked: str = ""
    """Why this login may not do it; nothing of the plan is applied."""
    hint: str = ""

    @property
    def to_do(self) -> bool:
        """Whether applying it would write."""
        return self.action is not Action.UNCHANGED and not self.skip


def action_of(live: object | None, fields: tuple[str, ...]) -> Action:
    """Return what is to be done about something that stands (or not) and differs in `fields`."""
    if live is None:
        return Action.CREATE
    return Action.UPDATE if fields else Action.UNCHANGED


def enabling(project: state.Project) -> str:
    """Return the command by which a super admin gives a project what only they can give."""
    return f"log in as {SUPER_ADMIN}, then: medbots project doctor --target {project.id} --fix"
