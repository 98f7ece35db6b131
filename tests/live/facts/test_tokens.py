"""Facts of `POST /oauth2/token`, and of what a token is worth."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import httpx
import pytest

from tests.live import medplum, projects
from tests.live.medplum import Json, Proof, Session
from tests.live.projects import Clinic
from tests.live.scratch import Scratch

HOUR = 3600
Error = dict[str, str]


def begin(nobody: Session, clinic: Clinic) -> tuple[str, Proof]:
    """Log in as far as the code."""
    proof = Proof.make()
    begun = medplum.expect(nobody.login(clinic.login, proof, projectId=clinic.id))
    return begun["code"], proof


def grant(nobody: Session, code: str, **form: str) -> httpx.Response:
    """Ask for the tokens of a code."""
    return nobody.token(grant_type="authorization_code", code=code, **form)


def error_of(answer: httpx.Response) -> Error:
    """Return the OAuth error of an answer, which must be 400."""
    assert answer.status_code == httpx.codes.BAD_REQUEST
    error: Error = answer.json()
    return error


def invalid(description: str) -> Error:
    """Return an `invalid_request` error."""
    return {"error": "invalid_request", "error_description": description}


class TestAuthorizationCode:
    """The code of a login, and what it buys."""

    def test_it_buys_an_hour(self, clinic: Clinic, nobody: Session) -> None:
        """200: token_type, expires_in 3600, scope, id_token, access_token, project, profile."""
        code, proof = begin(nobody, clinic)
        tokens = medplum.expect(grant(nobody, code, code_verifier=proof.verifier))
        assert {"token_type", "expires_in", "scope", "id_token", "access_token"} < set(tokens)
        assert tokens["token_type"] == "Bearer"
        assert tokens["expires_in"] == HOUR
        assert tokens["scope"] == "openid"
        assert tokens["project"] == {"reference": f"Project/{clinic.id}", "display": clinic.name}
        assert tokens["profile"]["reference"].startswith("Practitioner/")
        assert "refresh_token" not in tokens

    def test_json_is_refused(self, clinic: Clinic, nobody: Session) -> None:
        """A JSON body is 400, as text/html: only a form is understood."""
        code, proof = begin(nobody, clinic)
        answer = nobody.post(
            "oauth2/token",
            json={
                "grant_type": "authorization_code",
                "code": code,
                "code_verifier": proof.verifier,
            },
        )
        assert answer.status_code == httpx.codes.BAD_REQUEST
        assert answer.headers["Content-Type"].startswith("text/html")

    def test_an_unknown_code(self, nobody: Session) -> None:
        """A code that nobody got: 400 `Invalid code`."""
        answer = grant(nobody, "0123456789abcdef", code_verifier="x" * 43)
        assert error_of(answer) == invalid("Invalid code")

    def test_a_wrong_verifier_does_not_burn_the_code(self, clinic: Clinic, nobody: Session) -> None:
        """A wrong or missing verifier: 400 each, and the right one still works."""
        code, proof = begin(nobody, clinic)
        wrong = grant(nobody, code, code_verifier=Proof.make().verifier)
        assert error_of(wrong) == invalid("Invalid code verifier")
        assert error_of(grant(nobody, code)) == invalid("Missing code verifier")
        assert grant(nobody, code, code_verifier=proof.verifier).status_code == httpx.codes.OK

    def test_a_code_is_good_once(self, clinic: Clinic, nobody: Session) -> None:
        """A code used again: 400 `Token already granted`, and the first token is revoked."""
        code, proof = begin(nobody, clinic)
        token = medplum.expect(grant(nobody, code, code_verifier=proof.verifier))["access_token"]
        with nobody.with_token(token) as session:
            assert session.get("auth/me").status_code == httpx.codes.OK
            again = error_of(grant(nobody, code, code_verifier=proof.verifier))
            assert again["error"] == "invalid_grant"
            assert again["error_description"] == "Token already granted"
            assert session.get("auth/me").status_code == httpx.codes.UNAUTHORIZED


class TestRefresh:
    """Refresh tokens: who gets one, and that each is good once."""

    @pytest.mark.parametrize(
        "more",
        [
            {"scope": "openid offline"},
            {"scope": "openid offline_access"},
            {"remember": True},
        ],
        ids=["offline", "offline_access", "remember"],
    )
    def test_who_gets_one(self, clinic: Clinic, nobody: Session, more: Json) -> None:
        """Scope `offline` or `offline_access`, or `remember: true`, gives a refresh token."""
        tokens = medplum.sign_in(nobody, clinic.login, projectId=clinic.id, **more)
        assert tokens["refresh_token"]

    def test_a_super_admin_never_gets_one(
        self, request: pytest.FixtureRequest, super_admin: Session, nobody: Session
    ) -> None:
        """A super admin gets no refresh token, however they ask."""
        login = request.getfixturevalue("target").super_admin
        tokens = medplum.sign_in(nobody, login, scope="openid offline_access", remember=True)
        assert "refresh_token" not in tokens

    def test_it_rotates(self, clinic: Clinic, nobody: Session) -> None:
        """A refresh gives a new refresh token and kills the old one; old access tokens live on."""
        first = medplum.sign_in(nobody, clinic.login, projectId=clinic.id, remember=True)
        second = medplum.expect(refresh(nobody, first["refresh_token"]))
        assert second["refresh_token"] != first["refresh_token"]
        assert second["expires_in"] == HOUR
        assert error_of(refresh(nobody, first["refresh_token"])) == invalid("Invalid token")
        for tokens in (first, second):
            with nobody.with_token(tokens["access_token"]) as session:
                assert session.get("auth/me").status_code == httpx.codes.OK
        assert refresh(nobody, second["refresh_token"]).status_code == httpx.codes.OK

    @pytest.mark.parametrize("kind", ["garbage", "access_token"])
    def test_what_is_none(self, clinic: Clinic, nobody: Session, kind: str) -> None:
        """Garbage, or an access token in its place: 400 `Invalid refresh token`."""
        tokens = medplum.sign_in(nobody, clinic.login, projectId=clinic.id)
        answer = refresh(nobody, tokens.get(kind, "garbage"))
        assert error_of(answer) == invalid("Invalid refresh token")

    def test_a_bearer_along_with_it_is_refused(self, clinic: Clinic, nobody: Session) -> None:
        """An Authorization header that is not Basic: 400 `Invalid authorization header`."""
        tokens = medplum.sign_in(nobody, clinic.login, projectId=clinic.id, remember=True)
        with nobody.with_token(tokens["access_token"]) as session:
            answer = refresh(session, tokens["refresh_token"])
        assert error_of(answer) == invalid("Invalid authorization header")

    def test_logout_ends_it(self, clinic: Clinic, nobody: Session) -> None:
        """`/oauth2/logout`: the access token is 401 at once, the refresh token 400 `revoked`."""
        tokens = medplum.sign_in(nobody, clinic.login, projectId=clinic.id, remember=True)
        with nobody.with_token(tokens["access_token"]) as session:
            assert session.post("oauth2/logout").is_success
            assert session.get("auth/me").status_code == httpx.codes.UNAUTHORIZED
        assert error_of(refresh(nobody, tokens["refresh_token"])) == {
            "error": "invalid_grant",
            "error_description": "Token revoked",
        }


def refresh(session: Session, refresh_token: str) -> httpx.Response:
    """Ask for new tokens."""
    return session.token(grant_type="refresh_token", refresh_token=refresh_token)


@pytest.fixture(scope="module")
def client(super_admin: Session) -> Iterator[tuple[Clinic, Json]]:
    """A new project, and its default ClientApplication."""
    clinic = projects.make_project(super_admin, "client", ["bots"])
    (application,) = clinic.admin.find("ClientApplication")
    yield clinic, application
    projects.remove_project(super_admin, clinic)


class TestClientCredentials:
    """The client that `Project/$init` makes."""

    def test_by_form(self, client: tuple[Clinic, Json], nobody: Session) -> None:
        """Id and secret in the form give an access token of the client's project."""
        clinic, application = client
        tokens = medplum.expect(
            nobody.token(
                grant_type="client_credentials",
                client_id=application["id"],
                client_secret=application["secret"],
            )
        )
        assert tokens["profile"]["reference"] == f"ClientApplication/{application['id']}"
        assert tokens["project"]["reference"] == f"Project/{clinic.id}"
        assert tokens["expires_in"] == HOUR

    def test_by_basic(self, client: tuple[Clinic, Json], nobody: Session) -> None:
        """Basic does the same at the token endpoint, and works on FHIR calls too."""
        _, application = client
        headers = {"Authorization": f"Basic {basic(application)}"}
        form = {"grant_type": "client_credentials"}
        tokens = nobody.post("oauth2/token", data=form, headers=headers)
        assert tokens.status_code == httpx.codes.OK
        found = nobody.get("fhir/R4/Patient", headers=headers)
        assert found.status_code == httpx.codes.OK

    def test_a_wrong_secret(self, client: tuple[Clinic, Json], nobody: Session) -> None:
        """A wrong secret: 400 `Invalid secret`."""
        _, application = client
        answer = nobody.token(
            grant_type="client_credentials", client_id=application["id"], client_secret="wrong"
        )
        assert error_of(answer) == invalid("Invalid secret")

    def test_it_is_no_admin(self, client: tuple[Clinic, Json], nobody: Session) -> None:
        """403: the admin's bot endpoint, `Bot/$init`, ProjectMembership; the rest is allowed."""
        clinic, application = client
        form = {"client_id": application["id"], "client_secret": application["secret"]}
        tokens = medplum.expect(nobody.token(grant_type="client_credentials", **form))
        name = projects.unique("bot")
        parameters = {
            "resourceType": "Parameters",
            "parameter": [{"name": "name", "valueString": name}],
        }
        with nobody.with_token(tokens["access_token"]) as session:
            refused = [
                session.post(f"admin/projects/{clinic.id}/bot", json={"name": name}),
                session.post("fhir/R4/Bot/$init", json=parameters),
                session.get("fhir/R4/ProjectMembership"),
            ]
            assert [each.status_code for each in refused] == [httpx.codes.FORBIDDEN] * 3
            bot = session.create(
                {"resourceType": "Bot", "name": name, "runtimeVersion": "vmcontext"}
            )
            code = {"code": "exports.handler = async () => 'ran';\n", "filename": "index.js"}
            deployed = session.post(f"fhir/R4/Bot/{bot['id']}/$deploy", json=code)
            assert deployed.status_code == httpx.codes.OK
            assert session.execute(bot["id"]).text == "ran"


def basic(application: Json) -> str:
    """Return the credentials of a client for the scheme Basic."""
    return base64.b64encode(f"{application['id']}:{application['secret']}".encode()).decode()


@pytest.mark.parametrize("token", [None, "garbage"], ids=["none", "bad"])
@pytest.mark.parametrize("path", ["fhir/R4/Patient", "auth/me", "admin/projects/x"])
def test_without_a_good_token(nobody: Session, token: str | None, path: str) -> None:
    """No token, or a bad one: 401."""
    with nobody.with_token(token) as session:
        assert session.get(path).status_code == httpx.codes.UNAUTHORIZED


def test_auth_me_is_the_preflight(clinic: Clinic, admin: Session, made: Scratch) -> None:
    """`GET /auth/me` names the project and says whether the login is its admin."""
    me = medplum.expect(admin.get("auth/me"))
    assert me["project"]["id"] == clinic.id
    assert me["project"]["name"] == clinic.name
    assert "superAdmin" not in me["project"]
    assert me["membership"]["admin"] is True
    member = medplum.expect(made.member().session.get("auth/me"))
    assert "admin" not in member["membership"]


def test_auth_me_tells_a_super_admin(super_admin: Session) -> None:
    """A super admin is one by the project: `project.superAdmin` is true."""
    assert medplum.expect(super_admin.get("auth/me"))["project"]["superAdmin"] is True
