"""Who acts in the cases of the safety suite; each comes when a case first names them."""

from __future__ import annotations

import threading
from typing import NamedTuple

from tests.live import medplum, projects
from tests.live.medplum import Json, Session
from tests.live.safety_yaml import MINE
from tests.live.scratch import Scratch

ROLES = {
    "doctor": "doctor",
    "second_doctor": "doctor",
    "nurse": "nurse",
    "pharmacist": "pharmacist",
}
"""Practitioners with an active PractitionerRole, and its code."""
NAMES = frozenset({"admin", *ROLES, "intruder", "limited", "half_blind", "patient_user", "client"})
"""`admin` administers the project, and with the roles reads all of it. `intruder` is a Practitioner
without a role, `limited` and `half_blind` have policies, `patient_user` is a Patient, `client` an
application."""
_ROLE_SYSTEM = "http://terminology.hl7.org/CodeSystem/practitioner-role"
_CLINICAL = (
    "Patient",
    "Condition",
    "Observation",
    "MedicationRequest",
    "MedicationStatement",
    "AllergyIntolerance",
    "DiagnosticReport",
    "DocumentReference",
    "Encounter",
    "Procedure",
    "Immunization",
)


class Actor(NamedTuple):
    """Somebody who acts."""

    session: Session
    profile: str
    """Reference of their Practitioner or Patient."""


class People:
    """The people of one clinic, by name."""

    def __init__(self, made: Scratch) -> None:
        """Start with nobody.

        Args:
            made: remembers who is made, to be removed.
        """
        self._made = made
        self._here: dict[str, Actor] = {}
        self._door = threading.Lock()
        self._application: Session | None = None

    def __getitem__(self, name: str) -> Actor:
        """Return somebody, who comes if they are not there yet."""
        with self._door:
            if name not in self._here:
                assert name in NAMES, f"nobody is called {name}"
                self._here[name] = self._come(name)
            return self._here[name]

    def close(self) -> None:
        """Let go of the application's connection; the members' go with the members."""
        if self._application:
            self._application.close()

    def _come(self, name: str) -> Actor:
        match name:
            case "admin":
                return self._admin()
            case "client":
                return self._client()
            case _:
                return self._member(name)

    def _client(self) -> Actor:
        admin = self._made.clinic.admin
        path = f"admin/projects/{self._made.clinic.id}/client"
        made = medplum.expect(admin.post(path, json={"name": projects.unique("client")}), 201)
        profile = self._made.keep(f"ClientApplication/{made['id']}")
        for membership in admin.find(f"ProjectMembership?profile={profile}"):
            self._made.keep(f"ProjectMembership/{membership['id']}")
        with admin.with_token(None) as nobody:
            form = {"client_id": made["id"], "client_secret": made["secret"]}
            answer = nobody.token(grant_type="client_credentials", **form)
        self._application = admin.with_token(medplum.expect(answer)["access_token"])
        return Actor(self._application, profile)

    def _admin(self) -> Actor:
        session = self._made.clinic.admin
        profile = medplum.expect(session.get("auth/me"))["profile"]
        return Actor(session, f"{profile['resourceType']}/{profile['id']}")

    def _member(self, name: str) -> Actor:
        kind = "Patient" if name == "patient_user" else "Practitioner"
        member = self._made.member(self._policy(name), resourceType=kind)
        actor = Actor(member.session, member.profile)
        if name in ROLES:
            self._made.create(
                {
                    "resourceType": "PractitionerRole",
                    "active": True,
                    "practitioner": {"reference": actor.profile},
                    "code": [{"coding": [{"system": _ROLE_SYSTEM, "code": ROLES[name]}]}],
                }
            )
        return actor

    def _policy(self, name: str) -> str | None:
        """Make the policy of somebody who has one, and return its reference.

        `limited` and `patient_user` read what is tagged as theirs and nothing else; `half_blind`
        reads all, but not the notes of Conditions.
        """
        match name:
            case "limited" | "patient_user":
                rules = [_reading(each, criteria=f"{each}?_tag={MINE}") for each in _CLINICAL]
            case "half_blind":
                rules = [_reading(each) for each in _CLINICAL]
                rules[_CLINICAL.index("Condition")]["hiddenFields"] = ["note"]
            case _:
                return None
        policy = {
            "resourceType": "AccessPolicy",
            "name": projects.unique(name),
            "resource": [*rules, _reading("Bot"), _reading("Device")],
        }
        return f"AccessPolicy/{self._made.create(policy)['id']}"


def _reading(resource_type: str, **more: str) -> Json:
    return {"resourceType": resource_type, "interaction": ["read", "search"], **more}
