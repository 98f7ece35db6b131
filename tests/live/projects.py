"""Projects, members and clients that tests make, and take away again."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from tests.live import medplum
from tests.live.medplum import Json, Session
from tests.live.target import Login


@dataclass(frozen=True)
class Clinic:
    """A project and a session of its admin."""

    id: str
    name: str
    admin: Session
    login: Login
    features: frozenset[str]


@dataclass(frozen=True)
class Member:
    """Somebody of a project, who is logged in."""

    login: Login
    session: Session
    membership: Json

    @property
    def profile(self) -> str:
        """The reference of the Practitioner."""
        return str(self.membership["profile"]["reference"])


def unique(what: str) -> str:
    """Return a name that nothing else on the server has."""
    return f"medbots live {what} {uuid.uuid4().hex[:12]}"


def new_login() -> Login:
    """Return an address and a password of nobody yet."""
    return Login(f"live-{uuid.uuid4().hex}@example.com", f"pw-{secrets.token_urlsafe(18)}")


def make_project(super_admin: Session, what: str, features: Sequence[str] = ()) -> Clinic:
    """Make a project with an owner, its admin."""
    login, name = new_login(), unique(what)
    user = super_admin.create(
        {"resourceType": "User", "firstName": "Olive", "lastName": "Owner", "email": login.email}
    )
    parameters = [
        {"name": "name", "valueString": name},
        {"name": "owner", "valueReference": {"reference": f"User/{user['id']}"}},
    ]
    body = {"resourceType": "Parameters", "parameter": parameters}
    project = medplum.expect(
        super_admin.post("fhir/R4/Project/$init", json=body), httpx.codes.CREATED
    )
    password = {"email": login.email, "password": login.password}
    medplum.expect(super_admin.post("admin/super/setpassword", json=password))
    if features:
        set_features(super_admin, project["id"], features)
    with super_admin.with_token(None) as nobody:
        token = medplum.sign_in(nobody, login)["access_token"]
    return Clinic(project["id"], name, super_admin.with_token(token), login, frozenset(features))


def set_features(super_admin: Session, project_id: str, features: Sequence[str]) -> None:
    """Replace a project's features."""
    operations = [{"op": "add", "path": "/features", "value": list(features)}]
    medplum.expect(super_admin.change(f"fhir/R4/Project/{project_id}", operations))


def lift_quota(super_admin: Session, project_id: str) -> None:
    """Let the members of a project do as much in a minute as they like."""
    setting = {"name": "enableFhirQuota", "valueBoolean": False}
    operations = [{"op": "add", "path": "/systemSetting", "value": [setting]}]
    medplum.expect(super_admin.change(f"fhir/R4/Project/{project_id}", operations))


def remove_project(super_admin: Session, clinic: Clinic) -> None:
    """Remove a project with all it holds, and its owner."""
    clinic.admin.close()
    super_admin.post(f"fhir/R4/Project/{clinic.id}/$expunge", params={"everything": "true"})
    for user in super_admin.find(f"User?email={clinic.login.email}"):
        super_admin.delete(f"fhir/R4/User/{user['id']}")


def invite(clinic: Clinic, policy: str | None = None, **more: object) -> Member:
    """Make a Practitioner of a project who logs in by password, and log them in."""
    login = new_login()
    membership = invite_login(clinic, login, policy, **more)
    with clinic.admin.with_token(None) as nobody:
        token = medplum.sign_in(nobody, login, projectId=clinic.id)["access_token"]
    return Member(login, clinic.admin.with_token(token), membership)


def invite_login(clinic: Clinic, login: Login, policy: str | None = None, **more: object) -> Json:
    """Make somebody a member of a project; return the ProjectMembership.

    The User belongs to the project, so that its admin can delete it; `scope="server"` makes one
    who can join other projects too, and whom only a super admin can delete.
    """
    body: Json = {
        "resourceType": "Practitioner",
        "firstName": "Mary",
        "lastName": "Member",
        "email": login.email,
        "password": login.password,
        "sendEmail": False,
        "scope": "project",
        **more,
    }
    if policy:
        body["accessPolicy"] = {"reference": policy}
    membership: Json = medplum.expect(
        clinic.admin.post(f"admin/projects/{clinic.id}/invite", json=body)
    )
    return membership


def remove_member(clinic: Clinic, membership: Json) -> None:
    """Remove a membership, its Practitioner and, where the project owns it, the User."""
    for reference in (
        f"ProjectMembership/{membership['id']}",
        membership["profile"]["reference"],
        membership["user"]["reference"],
    ):
        clinic.admin.delete(f"fhir/R4/{reference}")
