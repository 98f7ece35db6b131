"""Raw requests to a Medplum server: httpx and no medbots code, so that neither hides the other."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import httpx

from tests.live.target import Login

Json = dict[str, Any]

TIMEOUT_SECONDS = 60.0
JSON_PATCH = "application/json-patch+json"
RESET = re.compile(r";t=(\d+)")
"""Seconds until a limit starts anew, in the header RateLimit."""
EXTENDED = {"X-Medplum": "extended"}
"""Header that shows meta.project, meta.author and meta.compartment."""


def own_address() -> str:
    """Return an address that nobody else uses, in the range for documentation and tests.

    The server counts requests by the address that its proxy reports: with one of its own, no test
    uses up the limits of another.
    """
    network = ipaddress.ip_network("198.18.0.0/15")
    return str(network[secrets.randbelow(network.num_addresses)])


class Proof(NamedTuple):
    """A PKCE pair (RFC 7636)."""

    verifier: str
    challenge: str
    method: str

    @classmethod
    def make(cls, method: str = "S256") -> Proof:
        """Make a pair with a random verifier."""
        verifier = secrets.token_urlsafe(48)
        if method == "plain":
            return cls(verifier, verifier, method)
        digest = hashlib.sha256(verifier.encode()).digest()
        return cls(verifier, base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), method)


class Session(httpx.Client):
    """A client of one server, with the few FHIR requests that every test makes."""

    def __init__(self, base_url: str, token: str | None = None, address: str | None = None) -> None:
        """Open a session; without a token nobody is logged in."""
        headers = {"X-Forwarded-For": address or own_address()}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        super().__init__(base_url=base_url, headers=headers, timeout=TIMEOUT_SECONDS)

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send, and where the server asks for patience, wait as long as it says and send again."""
        answer = super().send(request, **options)
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            time.sleep(1 + max(int(each) for each in RESET.findall(answer.headers["RateLimit"])))
            answer = super().send(request, **options)
        return answer

    @property
    def address(self) -> str:
        """The address that this session claims to come from."""
        return self.headers["X-Forwarded-For"]

    def with_token(self, token: str | None) -> Session:
        """Return another session from the same address."""
        return Session(str(self.base_url), token, self.address)

    def create(self, resource: Json) -> Json:
        """Create a resource and return it as the server stored it."""
        answer = self.post(f"fhir/R4/{resource['resourceType']}", json=resource)
        found: Json = expect(answer, httpx.codes.CREATED)
        return found

    def read(self, reference: str, headers: Mapping[str, str] | None = None) -> Json:
        """Read `Type/id`."""
        found: Json = expect(self.get(f"fhir/R4/{reference}", headers=headers))
        return found

    def update(self, resource: Json) -> Json:
        """Replace a resource by this content."""
        path = f"fhir/R4/{resource['resourceType']}/{resource['id']}"
        found: Json = expect(self.put(path, json=resource))
        return found

    def change(self, path: str, operations: Sequence[Json]) -> httpx.Response:
        """Send a JSON patch."""
        return self.patch(path, json=list(operations), headers={"Content-Type": JSON_PATCH})

    def find(self, query: str, headers: Mapping[str, str] | None = None) -> list[Json]:
        """Return the resources of a search's first page."""
        bundle = expect(self.get(f"fhir/R4/{query}", headers=headers))
        return [entry["resource"] for entry in bundle.get("entry", [])]

    def bundle(self, entries: Iterable[Json], kind: str = "batch") -> httpx.Response:
        """Send a batch or a transaction."""
        document = {"resourceType": "Bundle", "type": kind, "entry": list(entries)}
        return self.post("fhir/R4", json=document)

    def execute(self, bot_id: str, body: Any = None) -> httpx.Response:
        """Run a bot with a JSON body."""
        return self.post(f"fhir/R4/Bot/{bot_id}/$execute", json={} if body is None else body)

    def login(self, login: Login, proof: Proof | None = None, **more: Any) -> httpx.Response:
        """Send a password to `/auth/login`."""
        proof = proof or Proof.make()
        body = {
            "email": login.email,
            "password": login.password,
            "scope": "openid",
            "codeChallenge": proof.challenge,
            "codeChallengeMethod": proof.method,
            **more,
        }
        return self.post("auth/login", json=body, headers=_from_elsewhere())

    def token(self, **form: str) -> httpx.Response:
        """Send a form to `/oauth2/token`."""
        return self.post("oauth2/token", data=form, headers=_from_elsewhere())


def _from_elsewhere() -> dict[str, str]:
    """Return the header of a login from an address of its own: logins are limited by address."""
    return {"X-Forwarded-For": own_address()}


def entry(method: str, url: str, resource: Json | None = None, **request: str) -> Json:
    """Return an entry of a batch or a transaction."""
    made: Json = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        made["resource"] = resource
    return made


def expect(answer: httpx.Response, status: int = httpx.codes.OK) -> Any:
    """Return the JSON of an answer that must have this status."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text[:2000]}"
    return answer.json()


def text_of(answer: httpx.Response) -> str:
    """Return what an OperationOutcome says first."""
    return str(answer.json()["issue"][0]["details"]["text"])


def sign_in(session: Session, login: Login, project: str | None = None, **more: Any) -> Json:
    """Log in with a password as far as the tokens, in one project where there are several."""
    proof = Proof.make()
    begun = expect(session.login(login, proof, **more))
    if "code" not in begun:
        chosen = [
            each["id"]
            for each in begun["memberships"]
            if project is None or project in _names(each["project"])
        ]
        body = {"login": begun["login"], "profile": chosen[0]}
        begun = expect(session.post("auth/profile", json=body))
    answer = session.token(
        grant_type="authorization_code", code=begun["code"], code_verifier=proof.verifier
    )
    tokens: Json = expect(answer)
    return tokens


def _names(project: Json) -> set[str]:
    return {project["reference"], project["reference"].removeprefix("Project/"), project["display"]}
