"""`login`, `whoami` and `logout` on a running server."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import medplum, projects, totp
from tests.live.command import Medbots
from tests.live.medplum import Session
from tests.live.projects import Clinic
from tests.live.scratch import Scratch
from tests.live.target import Login, Target

NOT_ALLOWED = 4
USAGE = 64


@pytest.fixture
def medbots(target: Target, tmp_path: Path) -> Medbots:
    """The command with the server's address, and nobody logged in."""
    return Medbots({"MEDPLUM_BASE_URL": target.base_url, "MEDBOTS_STATE_DIR": str(tmp_path)})


def log_in(medbots: Medbots, login: Login, *more: str) -> None:
    """Log in by password, as a person does."""
    args = ("login", "--email", login.email, "--password-stdin", *more)
    medbots(*args, stdin=f"{login.password}\n").expect()


class TestSession:
    """A login that is kept."""

    def test_it_is_stored_and_ended(self, medbots: Medbots, clinic: Clinic, tmp_path: Path) -> None:
        """`login` stores a 0600 file, `whoami` uses it, `logout` ends it here and there."""
        log_in(medbots, clinic.login, "--project", clinic.id)
        (file,) = (tmp_path / "sessions").glob("*.json")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert clinic.login.password not in file.read_text()
        who = medbots.json("whoami")
        assert set(who) >= {"baseUrl", "project", "user", "admin", "superAdmin", "expiresAt"}
        assert who["baseUrl"] == medbots.settings["MEDPLUM_BASE_URL"]
        assert who["project"] == {"id": clinic.id, "name": clinic.name}
        assert clinic.login.email in who["user"] or who["user"].startswith("Practitioner/")
        assert (who["admin"], who["superAdmin"]) == (True, False)
        token = json.loads(file.read_text())["accessToken"]
        medbots("logout").expect()
        assert not file.exists()
        with clinic.admin.with_token(token) as session:
            assert session.get("auth/me").status_code == 401
        result = medbots("whoami").expect(NOT_ALLOWED)
        assert "medbots login" in result.err
        medbots("logout").expect()

    def test_an_expired_token_is_renewed(
        self, medbots: Medbots, clinic: Clinic, tmp_path: Path
    ) -> None:
        """A session whose access token has run out is renewed by its refresh token, unasked."""
        log_in(medbots, clinic.login, "--project", clinic.id)
        (file,) = (tmp_path / "sessions").glob("*.json")
        before = json.loads(file.read_text())
        stale = {**before, "accessToken": "stale", "expiresAt": "2026-01-01T00:00:00+00:00"}
        file.write_text(json.dumps(stale))
        assert medbots.json("whoami")["project"]["id"] == clinic.id
        after = json.loads(file.read_text())
        assert after["accessToken"] not in ("stale", before["accessToken"])
        assert after["refreshToken"] != before["refreshToken"]
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_a_revoked_one_says_log_in(
        self, medbots: Medbots, clinic: Clinic, tmp_path: Path
    ) -> None:
        """A session that was ended elsewhere: exit 4, and the verb that helps."""
        log_in(medbots, clinic.login, "--project", clinic.id)
        (file,) = (tmp_path / "sessions").glob("*.json")
        with clinic.admin.with_token(json.loads(file.read_text())["accessToken"]) as session:
            assert session.post("oauth2/logout").is_success
        result = medbots("whoami").expect(NOT_ALLOWED)
        assert "medbots login" in result.err

    def test_the_environment_suffices(self, medbots: Medbots, clinic: Clinic) -> None:
        """E-mail and password in the environment need no stored session, and store none."""
        given = medbots.having(
            MEDPLUM_EMAIL=clinic.login.email,
            MEDPLUM_PASSWORD=clinic.login.password,
            MEDPLUM_PROJECT=clinic.id,
        )
        assert given.json("whoami")["project"]["id"] == clinic.id
        medbots("whoami").expect(NOT_ALLOWED)

    def test_profiles_are_apart(self, medbots: Medbots, clinic: Clinic) -> None:
        """A login of one profile is none of another's."""
        log_in(medbots, clinic.login, "--project", clinic.id, "--profile", "first")
        assert medbots.json("whoami", "--profile", "first")["project"]["id"] == clinic.id
        medbots("whoami").expect(NOT_ALLOWED)


class TestProjects:
    """A user of several projects."""

    @pytest.fixture
    def both(self, clinic: Clinic, super_admin: Session) -> Iterator[tuple[Login, Clinic]]:
        """A login of two projects, and the second of them."""
        other = projects.make_project(super_admin, "second", [])
        login = projects.new_login()
        memberships = [
            projects.invite_login(each, login, scope="server") for each in (clinic, other)
        ]
        yield login, other
        projects.remove_project(super_admin, other)
        super_admin.delete(f"fhir/R4/ProjectMembership/{memberships[0]['id']}")
        for user in super_admin.find(f"User?email={login.email}"):
            super_admin.delete(f"fhir/R4/User/{user['id']}")

    @pytest.mark.parametrize("by", ["id", "name"])
    def test_one_is_named(self, medbots: Medbots, both: tuple[Login, Clinic], by: str) -> None:
        """`--project` takes an id or a name."""
        login, other = both
        log_in(medbots, login, "--project", getattr(other, by))
        assert medbots.json("whoami")["project"]["id"] == other.id

    def test_none_is_named(
        self, medbots: Medbots, both: tuple[Login, Clinic], clinic: Clinic
    ) -> None:
        """Without `--project` and without a terminal: the projects are listed, none is guessed."""
        login, other = both
        args = ("login", "--email", login.email, "--password-stdin")
        result = medbots(*args, stdin=login.password)
        assert result.code in {NOT_ALLOWED, USAGE}
        assert "--project" in result.err
        assert clinic.name in result.err
        assert other.name in result.err

    def test_an_unknown_one(
        self, medbots: Medbots, both: tuple[Login, Clinic], clinic: Clinic
    ) -> None:
        """A project that the user is no member of: exit 4, and those that there are."""
        login, _ = both
        args = ("login", "--email", login.email, "--password-stdin", "--project", "No Such Clinic")
        result = medbots(*args, stdin=login.password).expect(NOT_ALLOWED)
        assert "No Such Clinic" in result.err
        assert clinic.name in result.err


class TestMfa:
    """A user with a second factor."""

    @pytest.fixture
    def enrolled(self, made: Scratch) -> tuple[Login, str]:
        """A login, and the secret of its authenticator app."""
        member = made.member()
        status = medplum.expect(member.session.get("auth/mfa/status"))
        secret = totp.secret_of(status["enrollUri"])
        medplum.expect(member.session.post("auth/mfa/enroll", json={"token": totp.now(secret)}))
        return member.login, secret

    def test_the_code_is_a_flag(
        self, medbots: Medbots, enrolled: tuple[Login, str], clinic: Clinic
    ) -> None:
        """`--mfa-code` finishes the login."""
        login, secret = enrolled
        log_in(medbots, login, "--project", clinic.id, "--mfa-code", totp.now(secret))
        assert medbots.json("whoami")["project"]["id"] == clinic.id

    def test_without_a_code_it_is_named(
        self, medbots: Medbots, enrolled: tuple[Login, str], clinic: Clinic
    ) -> None:
        """Without a code and without a terminal: the flag is named."""
        login, _ = enrolled
        args = ("login", "--email", login.email, "--password-stdin", "--project", clinic.id)
        result = medbots(*args, stdin=login.password)
        assert result.code in {NOT_ALLOWED, USAGE}
        assert "--mfa-code" in result.err

    def test_a_wrong_code(
        self, medbots: Medbots, enrolled: tuple[Login, str], clinic: Clinic
    ) -> None:
        """A wrong code: exit 4, and no session is stored."""
        login, secret = enrolled
        wrong = str((int(totp.now(secret)) + 500_000) % 1_000_000).zfill(totp.DIGITS)
        args = ("login", "--email", login.email, "--password-stdin", "--project", clinic.id)
        result = medbots(*args, "--mfa-code", wrong, stdin=login.password).expect(NOT_ALLOWED)
        assert "code" in result.err.lower()
        medbots("whoami").expect(NOT_ALLOWED)


def test_forced_enrolment_is_said(medbots: Medbots, clinic: Clinic) -> None:
    """A login that must enrol a second factor first: exit 4, and where to do it."""
    login = projects.new_login()
    membership = projects.invite_login(clinic, login, mfaRequired=True)
    try:
        args = ("login", "--email", login.email, "--password-stdin", "--project", clinic.id)
        result = medbots(*args, stdin=login.password).expect(NOT_ALLOWED)
        assert "must set up multi-factor authentication" in result.err
        assert "otpauth" not in result.err
    finally:
        projects.remove_member(clinic, membership)


@pytest.mark.parametrize(
    ("email", "password", "words"),
    [
        (None, "wrong-password", "password"),
        (None, "medplum", "8 characters"),
        ("nobody-at-all@example.com", None, "nobody-at-all@example.com"),
    ],
    ids=["wrong-password", "short-password", "unknown-user"],
)
def test_who_is_refused(
    medbots: Medbots, clinic: Clinic, email: str | None, password: str | None, words: str
) -> None:
    """Refused: exit 4, one message that helps, and no password in it."""
    secret = password or clinic.login.password
    args = ("login", "--email", email or clinic.login.email, "--password-stdin")
    result = medbots(*args, "--project", clinic.id, stdin=secret).expect(NOT_ALLOWED)
    assert words in result.err
    assert clinic.login.password not in result.err
    assert "Traceback" not in result.err
    shown = medbots(*args, "--project", clinic.id, "--format", "json", stdin=secret)
    assert shown.json["error"]["code"] == "not-logged-in"
    assert set(shown.json["error"]) >= {"code", "message", "hint"}
    # Out of the environment it is told by the variable that holds it.
    given = medbots.having(MEDPLUM_EMAIL=email or clinic.login.email, MEDPLUM_PASSWORD=secret)
    result = given("whoami").expect(NOT_ALLOWED)
    assert f"(env {'MEDPLUM_EMAIL' if email else 'MEDPLUM_PASSWORD'})" in result.err
    assert clinic.login.password not in result.err


class TestClient:
    """Client credentials, as a pipeline has them."""

    @pytest.fixture
    def as_client(self, medbots: Medbots, super_admin: Session) -> Iterator[tuple[Medbots, Clinic]]:
        """The command with the credentials of a new project's default client."""
        clinic = projects.make_project(super_admin, "client", ["bots"])
        (application,) = clinic.admin.find("ClientApplication")
        yield (
            medbots.having(
                MEDPLUM_CLIENT_ID=application["id"], MEDPLUM_CLIENT_SECRET=application["secret"]
            ),
            clinic,
        )
        projects.remove_project(super_admin, clinic)

    def test_it_is_somebody(self, as_client: tuple[Medbots, Clinic]) -> None:
        """`whoami` names the client, which is no admin."""
        medbots, clinic = as_client
        who = medbots.json("whoami")
        assert who["project"]["id"] == clinic.id
        assert (who["admin"], who["superAdmin"]) == (False, False)

    def test_it_cannot_make_bots(self, as_client: tuple[Medbots, Clinic]) -> None:
        """`deploy`: exit 4, says that an admin can, and writes nothing."""
        medbots, clinic = as_client
        result = medbots("deploy").expect(NOT_ALLOWED)
        assert "project admin" in result.err
        assert clinic.admin.find("Bot") == []
        assert clinic.admin.find("AccessPolicy") == []

    def test_a_wrong_secret(self, as_client: tuple[Medbots, Clinic]) -> None:
        """A wrong secret: exit 4, and the variable is named."""
        medbots, _ = as_client
        result = medbots.having(MEDPLUM_CLIENT_SECRET="not-this-one")("whoami")
        assert result.code == NOT_ALLOWED
        assert "env MEDPLUM_CLIENT_SECRET" in result.err
        assert "not-this-one" not in result.err


def test_a_super_admin_works_in_one_project(
    medbots: Medbots, target: Target, super_admin: Session, clinic: Clinic
) -> None:
    """A super admin who means another project is told that this login cannot."""
    assert target.super_admin is not None
    given = medbots.having(
        MEDPLUM_EMAIL=target.super_admin.email, MEDPLUM_PASSWORD=target.super_admin.password
    )
    who = given.json("whoami")
    assert who["superAdmin"] is True
    result = given.having(MEDPLUM_PROJECT=clinic.id)("whoami").expect(NOT_ALLOWED)
    assert clinic.id in result.err or clinic.name in result.err
