"""Logging a user in by e-mail and password, with PKCE.

Every answer of `auth/login` that is not a code is a question: for an MFA code, or for one of
several memberships. `Prompts` answers them; who has nobody to ask passes `Nobody`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from medbots import errors, secret, urls
from medbots.medplum import http as http_module
from medbots.medplum import oauth, outcome, tokens

SEEDED_PASSWORDS = ("medplum_admin", "medplum")
"""What a fresh server's administrator has, as the whole world knows."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_MFA_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Membership:
    """One project that a user may log in to."""

    id: str
    project_id: str
    project_name: str
    profile: str
    """Display name, or reference, of whom the user is there."""

    def answers(self, wanted: str) -> bool:
        """Whether `wanted` names this project by id or name, or this membership by id."""
        return wanted in (self.id, self.project_id, self.project_name)

    def __str__(self) -> str:
        return f"{self.project_name or 'project'} {self.project_id} (as {self.profile}, {self.id})"


class Prompts(Protocol):
    """Answers what a login asks beyond the password."""

    def mfa_code(self) -> str | None:
        """Return the code of the authenticator app; None: there is nobody to ask."""
        ...

    def membership(self, choices: Sequence[Membership]) -> Membership | None:
        """Return the membership to use; None: there is nobody to ask."""
        ...


class Nobody:
    """Prompts where there is nobody to ask."""

    def mfa_code(self) -> None:
        """Return no code."""

    def membership(self, choices: Sequence[Membership]) -> None:
        """Choose nothing."""


class MfaNeededError(errors.NotLoggedInError):
    """This user needs a code of the authenticator app."""

    code = "mfa-needed"


@dataclass(frozen=True, slots=True)
class Password:
    """A user, and where to log in."""

    email: str
    password: secret.Secret
    project: str | None = None
    """Id or name of the project, or id of the membership, where there are several."""
    offline: bool = False
    """Whether a refresh token is wanted."""
    email_from: str = ""
    """Where it is stored, such as `env MEDPLUM_EMAIL`; empty: somebody has just given it."""
    password_from: str = ""
    """The same of the password."""


async def with_password(http: http_module.Http, user: Password, prompts: Prompts) -> tokens.Tokens:
    """Log a user in: PKCE with S256 and a random verifier.

    Raises:
        errors.NotLoggedInError: the server does not accept the user, or asks for more.
        errors.NotAllowedError: a password that everybody knows, for a host that is not this one.
    """
    if user.password.reveal() in SEEDED_PASSWORDS and not urls.is_loopback(http.base_url):
        raise errors.NotAllowedError(
            f"this is the password of every fresh server; medbots does not send it to "
            f"{urls.host(http.base_url)}",
            hint=f"if {user.email} has it there, change it in the Medplum app: anybody can log in",
        )
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    question = {
        "email": user.email,
        "password": user.password.reveal(),
        "scope": "openid offline_access" if user.offline else "openid",
        "codeChallenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "codeChallengeMethod": "S256",
    }
    if user.project and _UUID.fullmatch(user.project):
        answer = await _post(http, "auth/login", {**question, "projectId": user.project})
        if answer.ok or "user not found" not in _said(answer).lower():
            code = await _code(http, answer, user, prompts)
            return await oauth.with_code(http, code, verifier)
        # Unknown user or unknown project: without the project, the server tells which.
    answer = await _post(http, "auth/login", question)
    code = await _code(http, answer, user, prompts)
    return await oauth.with_code(http, code, verifier)


async def _code(
    http: http_module.Http, answer: http_module.Answer, user: Password, prompts: Prompts
) -> str:
    """Answer the server's questions until it gives the code."""
    step = _step(http, answer, user)
    if step.get("mfaEnrollRequired"):
        raise errors.NotLoggedInError(
            f"{user.email} must set up multi-factor authentication before the first login",
            hint="sign in to the Medplum app once, scan the QR code it shows, then log in again; "
            "a pipeline uses MEDPLUM_CLIENT_ID and MEDPLUM_CLIENT_SECRET",
        )
    if step.get("mfaRequired"):
        step = await _verify(http, str(step.get("login")), user, prompts)
    memberships = step.get("memberships")
    if isinstance(memberships, list):
        chosen = choose([_membership(one) for one in memberships], user, prompts)
        question = {"login": step.get("login"), "profile": chosen.id}
        step = _step(http, await _post(http, "auth/profile", question), user)
    code = step.get("code")
    if not isinstance(code, str) or not code:
        raise errors.ServerError(
            f"auth/login of {http.base_url} answered with neither a code nor a question: is this "
            "a Medplum server?",
            hint=outcome.WRONG_SERVER,
        )
    return code


async def _verify(
    http: http_module.Http, login: str, user: Password, prompts: Prompts
) -> dict[str, Any]:
    """Send the code of the authenticator app; ask again where somebody may have mistyped."""
    said = f"{user.email} needs a current code of the authenticator app"
    for _ in range(_MFA_ATTEMPTS):
        code = prompts.mfa_code()
        if code is None:
            break
        token = "".join(code.split())
        answer = await _post(http, "auth/mfa/verify", {"login": login, "token": token})
        if answer.ok or "invalid mfa token" not in _said(answer).lower():
            return _step(http, answer, user)
        said = f"the authenticator code for {user.email} is wrong or too old"
    raise MfaNeededError(
        said,
        hint="medbots login --mfa-code CODE; a pipeline uses MEDPLUM_CLIENT_ID and "
        "MEDPLUM_CLIENT_SECRET",
    )


def choose(choices: Sequence[Membership], user: Password, prompts: Prompts) -> Membership:
    """Return the membership that is meant.

    Raises:
        errors.NotAllowedError: the user is no member of the project.
        errors.NotLoggedInError: several fit, and there is nobody to ask.
    """
    listed = "\n".join(f"  {one}" for one in choices)
    fitting = list(choices)
    if user.project:
        fitting = [one for one in choices if one.answers(user.project)]
        if not fitting:
            raise errors.NotAllowedError(
                f"{user.email} is no member of the project {user.project!r}, but of\n{listed}",
                hint="--project or MEDPLUM_PROJECT names one of these, by id or name",
            )
    if len(fitting) == 1:
        return fitting[0]
    chosen = prompts.membership(fitting)
    if chosen is None:
        listed = "\n".join(f"  {one}" for one in fitting)
        what = f"{user.project!r} fits several" if user.project else "there are several"
        raise errors.NotLoggedInError(
            f"{user.email} can log in to more than one project; {what}:\n{listed}",
            hint="--project or MEDPLUM_PROJECT names one, by the project's id or name, or by the "
            "last id of the line",
        )
    return chosen


def _step(http: http_module.Http, answer: http_module.Answer, user: Password) -> dict[str, Any]:
    """Return the server's next word in a login, or say why it went no further."""
    document = answer.document()
    if answer.ok and isinstance(document, dict) and not outcome.is_error(document):
        return document
    if answer.status not in (200, 400, 401, 403):
        raise outcome.error(answer.status, document, answer.request)
    said = outcome.text(document)
    if not said:
        raise errors.ServerError(
            f"auth/login of {http.base_url} refuses {user.email} as no Medplum does "
            f"(HTTP {answer.status})",
            hint=outcome.WRONG_SERVER,
        )
    hint = _other_password(user)
    match said.lower():
        case words if "email or password is invalid" in words:
            said = f"the password{_from(user.password_from)} is wrong"
        case words if "user not found" in words:
            said = f"there is no such user{_from(user.email_from)}, or none with a project"
            if user.project:
                said += f", or the project {user.project!r} is not known here"
            hint = "check the e-mail address, the project and the server"
        case words if "at least 8 characters" in words:
            said = "Medplum takes no password of fewer than 8 characters"
            said += _from(user.password_from)
            hint += "; the administrator of a fresh server has medplum_admin"
        case words if "valid email" in words:
            said = f"that is no e-mail address{_from(user.email_from)}"
            hint = "a client logs in by MEDPLUM_CLIENT_ID and MEDPLUM_CLIENT_SECRET"
    raise errors.NotLoggedInError(
        f"{http.base_url} does not accept {user.email}: {said}", hint=hint
    )


def _from(origin: str) -> str:
    return f" ({origin})" if origin else ""


def _other_password(user: Password) -> str:
    """Return how to give another password than the one that was refused."""
    if not user.password_from:
        return "medbots login asks for the password again"
    variable = user.password_from.removeprefix("env ")
    if variable == user.password_from:
        return f"{user.password_from} holds it: medbots login asks for another"
    return f"set {variable} to the right one, or unset it and use medbots login"


def _membership(document: Any) -> Membership:
    try:
        project, profile = document["project"], document.get("profile") or {}
        return Membership(
            id=str(document["id"]),
            project_id=str(project["reference"]).rpartition("/")[2],
            project_name=str(project.get("display") or ""),
            profile=str(profile.get("display") or profile.get("reference") or "?"),
        )
    except (KeyError, TypeError, AttributeError) as exc:
        raise errors.ServerError("auth/login answered with a membership without project") from exc


def _said(answer: http_module.Answer) -> str:
    return outcome.text(answer.document()) or f"HTTP {answer.status}"


async def _post(http: http_module.Http, path: str, body: Mapping[str, Any]) -> http_module.Answer:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    return await http.send("POST", path, headers=headers, content=json.dumps(body).encode())
