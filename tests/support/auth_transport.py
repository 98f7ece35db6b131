"""The login of a Medplum, behind an httpx transport: every question it asks, every refusal.

It checks what the real one checks: the S256 challenge against the verifier, the form of the token
endpoint, that a refresh token works once, that a revoked login is refused everywhere.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import httpx

from tests.support.medplum_transport import outcome

Json = dict[str, Any]

PASSWORD = "correct-horse-9"
CLIENT_SECRET = "client-secret-plant"
TOKEN_PLANT = "token-plant"
"""Stands in every token, so that a test can look for it where none may be."""

CLINIC = "11111111-1111-4111-8111-111111111111"
RESEARCH = "22222222-2222-4222-8222-222222222222"


def membership(number: int, project: str, name: str, profile: str = "Practitioner/p") -> Json:
    """Return a ProjectMembership as `auth/login` lists it."""
    return {
        "id": f"membership-{number}",
        "project": {"reference": f"Project/{project}", "display": name},
        "profile": {"reference": profile, "display": "Ada Admin"},
    }


@dataclass
class User:
    """Somebody who can log in."""

    memberships: list[Json]
    password: str = PASSWORD
    mfa: str | None = None
    """The code that is right at the moment; None: not enrolled."""
    must_enrol: bool = False
    admin: bool = True
    super_admin: bool = False


@dataclass
class Login:
    """One login under way, or granted."""

    user: User
    email: str | None
    challenge: str = ""
    offline: bool = False
    membership: Json | None = None
    verified: bool = False
    granted: bool = False
    revoked: bool = False
    access: list[str] = field(default_factory=list)
    refresh: str | None = None


class AuthServer:
    """Users, clients and the logins they made."""

    def __init__(self) -> None:
        clinic = membership(1, CLINIC, "Clinic")
        self.users = {"ada@example.com": User([clinic])}
        self.clients = {"client-1": membership(9, CLINIC, "Clinic", "ClientApplication/client-1")}
        self.logins: dict[str, Login] = {}
        self.requests: list[httpx.Request] = []
        self.scripted: dict[str, list[httpx.Response | Exception]] = {}
        """What a path answers first, before it answers as it should."""
        self.resources: dict[str, Any] = {}
        """What other paths answer to GET."""
        self.expires_in = 3600
        self._numbers = itertools.count(1)

    def transport(self) -> httpx.MockTransport:
        """Return the transport."""
        return httpx.MockTransport(self.handle)

    @property
    def paths(self) -> list[str]:
        """What was asked, in order."""
        return [request.url.path.lstrip("/") for request in self.requests]

    def bodies(self, path: str) -> list[Json]:
        """Return what was sent to a path, JSON or form."""
        found = []
        for request in self.requests:
            if request.url.path == f"/{path}":
                kind = request.headers.get("Content-Type", "")
                text = request.content.decode()
                found.append(json.loads(text) if "json" in kind else dict(parse_qsl(text)))
        return found

    def revoke_all(self) -> None:
        """Forget every login, as an administrator could."""
        for login in self.logins.values():
            login.revoked = True

    def expire_all(self) -> None:
        """Let every access token end; refresh tokens live on."""
        for login in self.logins.values():
            login.access.clear()

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        self.requests.append(request)
        path = request.url.path.lstrip("/")
        if self.scripted.get(path):
            answer = self.scripted[path].pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        if path == "oauth2/token":
            return self._token(request)
        questions = {
            "auth/login": self._login,
            "auth/mfa/verify": self._verify,
            "auth/profile": self._profile,
        }
        if path in questions:
            return questions[path](json.loads(request.content))
        return self._as(self._bearer(request), path)

    def _as(self, login: Login | None, path: str) -> httpx.Response:
        """Answer what takes a login."""
        if login is None or login.membership is None:
            return httpx.Response(401, json=outcome("Unauthorized"))
        if path == "auth/me":
            return httpx.Response(200, json=_me(login))
        if path == "oauth2/logout":
            login.revoked = True
            return httpx.Response(200, json={"resourceType": "OperationOutcome", "issue": []})
        if path in self.resources:
            return httpx.Response(200, json=self.resources[path])
        return httpx.Response(404, json=outcome("Not found"))

    def _bearer(self, request: httpx.Request) -> Login | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        found = (one for one in self.logins.values() if token in one.access and not one.revoked)
        return next(found, None)

    def _login(self, body: Json) -> httpx.Response:
        if "@" not in body["email"]:
            return httpx.Response(400, json=outcome("Valid email address is required"))
        if len(body["password"]) < 8:
            text = "Invalid password, must be at least 8 characters"
            return httpx.Response(400, json=outcome(text))
        user = self.users.get(body["email"])
        project = body.get("projectId")
        memberships = [
            one
            for one in (user.memberships if user else [])
            if project in (None, one["project"]["reference"].removeprefix("Project/"))
        ]
        if user is None or (user.password == body["password"] and not memberships):
            return httpx.Response(400, json=outcome("User not found"))
        if user.password != body["password"]:
            return httpx.Response(400, json=outcome("Email or password is invalid"))
        assert body["codeChallengeMethod"] == "S256"
        login = Login(user, body["email"], body["codeChallenge"])
        login.offline = "offline_access" in body["scope"].split() and not user.super_admin
        login.membership = memberships[0] if len(memberships) == 1 else None
        self.logins[f"login-{len(self.logins)}"] = login
        return self._next(login)

    def _next(self, login: Login) -> httpx.Response:
        name = next(name for name, one in self.logins.items() if one is login)
        if login.user.must_enrol:
            uri = "otpauth://totp/x?secret=ENROLPLANT"
            question: Json = {"mfaEnrollRequired": True, "enrollUri": uri, "enrollQrCode": "data:"}
        elif login.user.mfa and not login.verified:
            question = {"mfaRequired": True}
        elif login.membership is None:
            question = {"memberships": login.user.memberships}
        else:
            question = {"code": f"code-{name}"}
        return httpx.Response(200, json={"login": name, **question})

    def _verify(self, body: Json) -> httpx.Response:
        login = self.logins[body["login"]]
        if body["token"] != login.user.mfa:
            return httpx.Response(400, json=outcome("Invalid MFA token"))
        login.verified = True
        return self._next(login)

    def _profile(self, body: Json) -> httpx.Response:
        login = self.logins[body["login"]]
        found = [one for one in login.user.memberships if one["id"] == body["profile"]]
        if not found:
            return httpx.Response(400, json=outcome("Profile not found"))
        login.membership = found[0]
        return self._next(login)

    def _token(self, request: httpx.Request) -> httpx.Response:
        if request.headers["Content-Type"] != "application/x-www-form-urlencoded":
            return httpx.Response(400, html="Unsupported content type")
        form = dict(parse_qsl(request.content.decode()))
        match form["grant_type"]:
            case "authorization_code":
                return self._code(form)
            case "client_credentials":
                return self._client(form)
        return self._refresh(form)

    def _code(self, form: Json) -> httpx.Response:
        login = self.logins.get(form["code"].removeprefix("code-"))
        if login is None or login.granted:
            return _refused("Invalid code")
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != login.challenge:
            return _refused("Invalid code verifier")
        login.granted = True
        return self._grant(login)

    def _client(self, form: Json) -> httpx.Response:
        found = self.clients.get(form["client_id"])
        if found is None:
            return _refused("Invalid client")
        if form["client_secret"] != CLIENT_SECRET:
            return _refused("Invalid secret")
        login = Login(User([found], admin=False), None, membership=found)
        self.logins[f"login-{len(self.logins)}"] = login
        return self._grant(login)

    def _refresh(self, form: Json) -> httpx.Response:
        login = next(
            (one for one in self.logins.values() if one.refresh == form["refresh_token"]), None
        )
        if login is None:
            return _refused("Invalid token")
        if login.revoked:
            return _refused("Token revoked", "invalid_grant")
        return self._grant(login)

    def _grant(self, login: Login) -> httpx.Response:
        number = next(self._numbers)
        login.access.append(f"{TOKEN_PLANT}-access-{number}")
        answer: Json = {"token_type": "Bearer", "access_token": login.access[-1]}
        answer["expires_in"] = self.expires_in
        if login.offline:
            login.refresh = f"{TOKEN_PLANT}-refresh-{number}"
            answer["refresh_token"] = login.refresh
        return httpx.Response(200, json=answer)


def _refused(description: str, error: str = "invalid_request") -> httpx.Response:
    return httpx.Response(400, json={"error": error, "error_description": description})


def _me(login: Login) -> Json:
    member = login.membership or {}
    reference = member["project"]["reference"].removeprefix("Project/")
    me: Json = {
        "project": {
            "resourceType": "Project",
            "id": reference,
            "name": member["project"]["display"],
        },
        "membership": {"id": member["id"], "profile": member["profile"]},
    }
    if login.email:
        me["user"] = {"resourceType": "User", "email": login.email}
    if login.user.admin:
        me["membership"]["admin"] = True
    if login.user.super_admin:
        me["project"]["superAdmin"] = True
    return me
