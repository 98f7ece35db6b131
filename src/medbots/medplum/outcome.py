"""From a server's refusal to the error that a person reads."""

from __future__ import annotations

from typing import Any

from medbots import errors, secret

WRONG_SERVER = "MEDPLUM_BASE_URL or --base-url names the server (its API, not its web app)"
"""The hint where what answers does not speak as a Medplum does."""

_LONGEST = 400
"""Characters of the server's words that an error repeats."""


def text(document: Any) -> str:
    """Return what an OperationOutcome or an OAuth error says, in one line.

    `diagnostics` are left out: there the server repeats what it was sent.
    """
    if not isinstance(document, dict):
        return ""
    if document.get("resourceType") == "OperationOutcome":
        said = "; ".join(_issue(issue) for issue in _dicts(document.get("issue")))
    else:
        words = (document.get("error_description"), document.get("error"), document.get("msg"))
        said = next((word for word in words if isinstance(word, str)), "")
    return one_line(said)


def one_line(said: str) -> str:
    """Return somebody else's words as an error repeats them: in one line, short and printable."""
    said = secret.redact(" ".join(said.split()))
    said = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in said)
    return said if len(said) <= _LONGEST else said[: _LONGEST - 1] + "…"


def _issue(issue: dict[str, Any]) -> str:
    details = issue.get("details")
    said = details.get("text") if isinstance(details, dict) else None
    said = str(said or issue.get("code") or "no reason given")
    where = issue.get("expression")
    if isinstance(where, list) and where and str(where[0]) not in said:
        said = f"{said} ({where[0]})"
    return said


def is_outcome(document: Any) -> bool:
    """Whether a document is an OperationOutcome, in which a Medplum says what it refuses."""
    return isinstance(document, dict) and document.get("resourceType") == "OperationOutcome"


def is_error(document: Any) -> bool:
    """Whether a document is an OperationOutcome that reports a failure, whatever its status."""
    return is_outcome(document) and any(
        one.get("severity") in ("error", "fatal") for one in _dicts(document.get("issue"))
    )


def error(status: int, document: Any, request: str) -> errors.MedbotsError:
    """Return the error that stands for a refused request.

    Args:
        status: HTTP status, or that of one entry of a batch.
        document: the OperationOutcome or OAuth error that came with it, if any.
        request: method and path, without a query.
    """
    said = text(document)
    if said.lower() in _BARE:
        said = ""
    found = _error(status, f"{request}: {said or _WORDS.get(status, 'refused')} (HTTP {status})")
    found.said = said
    return found


def _error(status: int, message: str) -> errors.MedbotsError:
    match status:
        case 401:
            return errors.NotLoggedInError(message, hint="medbots login")
        case 403:
            return errors.NotAllowedError(
                message, hint="medbots whoami shows the login and its rights"
            )
        case 404 | 410:
            return errors.NotFoundError(message)
        case 409 | 412:
            return errors.ConflictError(message, hint="run the command again")
        case 429:
            return errors.ServerError(message, hint="wait a minute, or use fewer --jobs")
        case 502 | 503 | 504:
            return errors.UnreachableError(
                message, hint="is the Medplum server up? Its log, or the gateway's, tells"
            )
    return errors.ServerError(message)


_WORDS = {
    401: "not logged in",
    403: "not allowed",
    404: "not found",
    409: "changed by somebody else at the same time",
    410: "deleted",
    412: "changed by somebody else in the meantime",
    429: "too many requests",
    500: "the server failed",
    502: "the gateway does not reach the server",
    503: "the server is not ready",
    504: "the gateway waited for the server in vain",
}

_BARE = frozenset({"unauthorized", "forbidden", "gone", "precondition failed", "too many requests"})
"""What the server says where the status says it all; `_WORDS` says it better."""


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
