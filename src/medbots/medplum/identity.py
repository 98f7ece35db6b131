"""Who is logged in, where, and with which rights: what `auth/me` tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from medbots import errors, state
from medbots.medplum import outcome


@dataclass(frozen=True, slots=True)
class ProjectRef:
    """The one project that a login works in."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Identity:
    """The login as the server sees it."""

    project: ProjectRef
    rights: state.Rights
    user: str
    """E-mail address of a person; for a client or a bot its reference."""
    profile: str
    """Reference of the Practitioner, Patient or ClientApplication that acts."""
    membership: str
    """Id of the ProjectMembership."""

    def is_in(self, project: str) -> bool:
        """Whether the login works in a project, named by id, name or own membership's id."""
        return project in (self.project.id, self.project.name, self.membership)


def of(document: Any) -> Identity:
    """Read the answer of `auth/me`.

    Raises:
        errors.ServerError: it names no project.
    """
    me = document if isinstance(document, dict) else {}
    project, membership = _part(me, "project"), _part(me, "membership")
    if not project.get("id"):
        raise errors.ServerError(
            "auth/me names no project: is this a Medplum 5 server?", hint=outcome.WRONG_SERVER
        )
    profile = str(_part(membership, "profile").get("reference") or "")
    member = str(_part(membership, "user").get("reference") or "")
    return Identity(
        project=ProjectRef(str(project["id"]), str(project.get("name") or "")),
        rights=state.Rights(
            admin=membership.get("admin") is True,
            super_admin=project.get("superAdmin") is True,
        ),
        user=str(_part(me, "user").get("email") or profile or member),
        profile=profile,
        membership=str(membership.get("id") or ""),
    )


def _part(document: dict[str, Any], name: str) -> dict[str, Any]:
    part = document.get(name)
    return part if isinstance(part, dict) else {}
