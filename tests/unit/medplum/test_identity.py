"""What `auth/me` tells of a login."""

from __future__ import annotations

from typing import Any

import pytest

from medbots import errors, state
from medbots.medplum import identity

PROJECT = {"resourceType": "Project", "id": "p1", "name": "Clinic"}


def test_person() -> None:
    """A person is shown by the e-mail address, an admin has the right."""
    who = identity.of(
        {
            "user": {"email": "ada@example.com"},
            "project": PROJECT,
            "membership": {"id": "m1", "admin": True, "profile": {"reference": "Practitioner/1"}},
        }
    )
    assert who == identity.Identity(
        identity.ProjectRef("p1", "Clinic"),
        state.Rights(admin=True, super_admin=False),
        "ada@example.com",
        "Practitioner/1",
        "m1",
    )


def test_client() -> None:
    """A client has no address: its profile stands for it, and it is no admin."""
    membership = {"id": "m1", "profile": {"reference": "ClientApplication/c1"}}
    who = identity.of({"project": PROJECT, "membership": membership})
    assert (who.user, who.rights) == ("ClientApplication/c1", state.Rights())


def test_super_admin() -> None:
    """A super admin is whoever works in the super admin project."""
    who = identity.of({"project": {**PROJECT, "superAdmin": True}, "membership": {"admin": True}})
    assert who.rights == state.Rights(admin=True, super_admin=True)


@pytest.mark.parametrize("truthy", ["true", 1, {}])
def test_rights_are_exactly_true(truthy: object) -> None:
    """Nothing but `true` gives a right."""
    who = identity.of(
        {"project": {**PROJECT, "superAdmin": truthy}, "membership": {"admin": truthy}}
    )
    assert who.rights == state.Rights()


@pytest.mark.parametrize(
    ("named", "there"), [("p1", True), ("Clinic", True), ("m1", True), ("clinic", False)]
)
def test_where_it_works(named: str, *, there: bool) -> None:
    """The project is known by id and by name, spelled exactly, and by the membership's id."""
    assert identity.of({"project": PROJECT, "membership": {"id": "m1"}}).is_in(named) is there


@pytest.mark.parametrize("answer", [None, [], {}, {"project": None}, {"project": {"name": "x"}}])
def test_no_project(answer: Any) -> None:
    """Without a project there is nothing to work in."""
    with pytest.raises(errors.ServerError, match="names no project"):
        identity.of(answer)
