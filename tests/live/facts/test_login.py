"""Facts of `POST /auth/login`: what each kind of login is answered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.live import medplum, projects, totp
from tests.live.medplum import Proof, Session
from tests.live.projects import Clinic
from tests.live.scratch import Scratch
from tests.live.target import Login

Both = tuple[Login, dict[str, str], Clinic]
"""A login, its memberships by project id, and the second project."""
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize("method", ["S256", "plain"])
def test_one_membership_gives_a_code(clinic: Clinic, nobody: Session, method: str) -> None:
    """One membership: 200 with `login` and `code`; both PKCE methods end in a token."""
    proof = Proof.make(method)
    begun = medplum.expect(nobody.login(clinic.login, proof, projectId=clinic.id))
    assert set(begun) == {"login", "code"}
    answer = nobody.token(
        grant_type="authorization_code", code=begun["code"], code_verifier=proof.verifier
    )
    assert answer.status_code == httpx.codes.OK
    assert answer.json()["project"]["reference"] == f"Project/{clinic.id}"


def test_an_address_in_capitals_is_the_same_address(clinic: Clinic, nobody: Session) -> None:
    """The case of an e-mail address does not matter."""
    login = Login(clinic.login.email.upper(), clinic.login.password)
    assert "login" in medplum.expect(nobody.login(login, projectId=clinic.id))


@pytest.fixture(scope="module")
def both(clinic: Clinic, super_admin: Session) -> Iterator[Both]:
    """A login with a membership in each of two projects, by project id."""
    other = projects.make_project(super_admin, "second", [])
    login = projects.new_login()
    memberships = {
        each.id: projects.invite_login(each, login, scope="server")["id"]
        for each in (clinic, other)
    }
    yield login, memberships, other
    projects.remove_project(super_admin, other)
    super_admin.delete(f"fhir/R4/ProjectMembership/{memberships[clinic.id]}")
    for user in super_admin.find(f"User?email={login.email}"):
        super_admin.delete(f"fhir/R4/User/{user['id']}")


class TestSeveralMemberships:
    """A user of two projects."""

    def test_they_are_listed(self, both: Both, clinic: Clinic, nobody: Session) -> None:
        """Several memberships: 200 with `login` and the memberships, and no code."""
        login, memberships, _ = both
        begun = medplum.expect(nobody.login(login))
        assert set(begun) == {"login", "memberships"}
        listed = {each["project"]["reference"]: each for each in begun["memberships"]}
        assert {key: each["id"] for key, each in listed.items()} == {
            f"Project/{project}": membership for project, membership in memberships.items()
        }
        mine = listed[f"Project/{clinic.id}"]
        assert mine["project"]["display"] == clinic.name
        assert mine["profile"]["reference"].startswith("Practitioner/")
        assert mine["profile"]["display"] == "Mary Member"

    def test_one_is_chosen(self, both: Both, nobody: Session) -> None:
        """`POST /auth/profile {login, profile: <membershipId>}` gives `login` and `code`."""
        login, memberships, other = both
        proof = Proof.make()
        begun = medplum.expect(nobody.login(login, proof))
        body = {"login": begun["login"], "profile": memberships[other.id]}
        chosen = medplum.expect(nobody.post("auth/profile", json=body))
        assert set(chosen) == {"login", "code"}
        assert chosen["login"] == begun["login"]
        tokens = medplum.expect(
            nobody.token(
                grant_type="authorization_code", code=chosen["code"], code_verifier=proof.verifier
            )
        )
        assert tokens["project"]["reference"] == f"Project/{other.id}"

    def test_a_project_id_skips_the_chooser(self, both: Both, nobody: Session) -> None:
        """`projectId` in the body chooses at once."""
        login, _, other = both
        begun = medplum.expect(nobody.login(login, projectId=other.id))
        assert set(begun) == {"login", "code"}


class TestMfa:
    """A user who has enrolled a second factor."""

    @pytest.fixture
    def enrolled(self, clinic: Clinic, made: Scratch) -> tuple[Login, str]:
        """A login, and the secret of its authenticator app."""
        member = made.member()
        status = medplum.expect(member.session.get("auth/mfa/status"))
        assert status["enrolled"] is False
        secret = totp.secret_of(status["enrollUri"])
        medplum.expect(member.session.post("auth/mfa/enroll", json={"token": totp.now(secret)}))
        assert medplum.expect(member.session.get("auth/mfa/status")) == {"enrolled": True}
        return member.login, secret

    def test_the_login_asks_for_a_token(
        self, enrolled: tuple[Login, str], clinic: Clinic, nobody: Session
    ) -> None:
        """MFA enrolled: 200 `{login, mfaRequired: true}`; the right token then gives a code."""
        login, secret = enrolled
        begun = medplum.expect(nobody.login(login, projectId=clinic.id))
        assert begun == {"login": begun["login"], "mfaRequired": True}
        body = {"login": begun["login"], "token": totp.now(secret)}
        done = medplum.expect(nobody.post("auth/mfa/verify", json=body))
        assert set(done) == {"login", "code"}

    def test_a_wrong_token_may_be_followed_by_the_right_one(
        self, enrolled: tuple[Login, str], clinic: Clinic, nobody: Session
    ) -> None:
        """A wrong token: 400 `Invalid MFA token`; the login can still be finished."""
        login, secret = enrolled
        begun = medplum.expect(nobody.login(login, projectId=clinic.id))
        right = totp.now(secret)
        wrong = str((int(right) + 500_000) % 1_000_000).zfill(totp.DIGITS)
        answer = nobody.post("auth/mfa/verify", json={"login": begun["login"], "token": wrong})
        assert answer.status_code == httpx.codes.BAD_REQUEST
        assert medplum.text_of(answer) == "Invalid MFA token"
        body = {"login": begun["login"], "token": totp.now(secret)}
        assert "code" in medplum.expect(nobody.post("auth/mfa/verify", json=body))


def test_forced_enrolment_sends_the_secret(clinic: Clinic, nobody: Session, made: Scratch) -> None:
    """Enrolment forced: `{login, mfaEnrollRequired, enrollUri, enrollQrCode}`, and no code.

    `POST /auth/mfa/login-enroll` with the first token finishes both.
    """
    login = projects.new_login()
    membership = projects.invite_login(clinic, login, mfaRequired=True)
    try:
        begun = medplum.expect(nobody.login(login, projectId=clinic.id))
        assert set(begun) == {"login", "mfaEnrollRequired", "enrollUri", "enrollQrCode"}
        assert begun["mfaEnrollRequired"] is True
        assert begun["enrollUri"].startswith("otpauth://totp/")
        assert begun["enrollQrCode"].startswith("data:image/png;base64,")
        body = {
            "login": begun["login"],
            "token": totp.now(totp.secret_of(begun["enrollUri"])),
        }
        done = medplum.expect(nobody.post("auth/mfa/login-enroll", json=body))
        assert set(done) == {"login", "code"}
    finally:
        projects.remove_member(clinic, membership)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"password": "medplum"}, "Invalid password, must be at least 8 characters"),
        ({"password": "wrong-password"}, "Email or password is invalid"),
        ({"email": "nobody-at-all@example.com"}, "User not found"),
        ({"projectId": UNKNOWN_ID}, "User not found"),
        ({"email": "not an address"}, "Valid email address is required"),
    ],
    ids=["short-password", "wrong-password", "unknown-user", "unknown-project", "no-address"],
)
def test_a_login_that_fails_is_400(
    clinic: Clinic, nobody: Session, change: dict[str, str], message: str
) -> None:
    """A login that fails is 400 with one sentence, and never 401."""
    more: dict[str, Any] = {"projectId": clinic.id, **change}
    answer = nobody.login(clinic.login, **more)
    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert medplum.text_of(answer) == message
