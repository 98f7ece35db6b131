"""What a person reads of a server's refusal, and what nobody reads."""

from __future__ import annotations

from typing import Any

import pytest

from medbots import errors
from medbots.medplum import outcome


def refusal(text: str, severity: str = "error", **more: Any) -> dict[str, Any]:
    """Return an OperationOutcome."""
    issue = {"severity": severity, "code": "invalid", "details": {"text": text}, **more}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


@pytest.mark.parametrize(
    ("status", "kind", "exit_code"),
    [
        (400, errors.ServerError, 1),
        (401, errors.NotLoggedInError, 4),
        (403, errors.NotAllowedError, 4),
        (404, errors.NotFoundError, 1),
        (409, errors.ConflictError, 1),
        (410, errors.NotFoundError, 1),
        (412, errors.ConflictError, 1),
        (429, errors.ServerError, 1),
        (500, errors.ServerError, 1),
        (502, errors.UnreachableError, 5),
        (503, errors.UnreachableError, 5),
        (504, errors.UnreachableError, 5),
    ],
)
def test_status_to_error(status: int, kind: type[errors.MedbotsError], exit_code: int) -> None:
    """Each status has one kind of error, which names request, reason and status."""
    error = outcome.error(status, refusal("The reason"), "PUT fhir/R4/Bot/1")
    assert type(error) is kind
    assert error.exit_code == exit_code
    assert error.message == f"PUT fhir/R4/Bot/1: The reason (HTTP {status})"


@pytest.mark.parametrize(
    ("status", "said", "words"),
    [
        (403, "Forbidden", "not allowed"),
        (410, "Gone", "deleted"),
        (412, "Precondition Failed", "changed by somebody else in the meantime"),
        (503, "", "the server is not ready"),
        (418, "", "refused"),
    ],
)
def test_words_where_the_server_has_none(status: int, said: str, words: str) -> None:
    """A bare word of the protocol, or nothing, becomes a sentence."""
    document = refusal(said) if said else None
    assert outcome.error(status, document, "GET x").message == f"GET x: {words} (HTTP {status})"


def test_all_issues_with_their_places() -> None:
    """Several issues are one line, each with the element it is about."""
    document = refusal("Missing name", expression=["Bot.name"])
    document["issue"] += refusal("Invalid status")["issue"]
    assert outcome.text(document) == "Missing name (Bot.name); Invalid status"


def test_diagnostics_are_never_repeated() -> None:
    """There the server repeats what it was sent, which may be about a patient."""
    document = refusal("Invalid", diagnostics='{"name":"Jane Roe"}')
    assert "Jane" not in outcome.error(400, document, "POST fhir/R4/Patient").message


def test_long_and_broken_text_is_one_short_line() -> None:
    """A page of text does not fill the terminal."""
    said = outcome.text(refusal("line one\nline two " + "x" * 2000))
    assert said.startswith("line one line two xxx")
    assert len(said) == 400
    assert said.endswith("…")


def test_secrets_in_a_refusal_are_redacted() -> None:
    """A server that repeats a token or a URL with a password does not make us repeat it."""
    said = outcome.text(refusal("at postgres://u:hunter22@h/db with Bearer abcdefghijk"))
    assert "hunter22" not in said
    assert "abcdefghijk" not in said


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"error": "invalid_grant", "error_description": "Token revoked"}, "Token revoked"),
        ({"error": "invalid_grant"}, "invalid_grant"),
        ({"msg": "Internal Server Error"}, "Internal Server Error"),
        ({"error": {"nested": True}}, ""),
        ({"resourceType": "OperationOutcome"}, ""),
        ({"resourceType": "OperationOutcome", "issue": ["x", {"code": "deleted"}]}, "deleted"),
        ({"resourceType": "OperationOutcome", "issue": [{"details": "x"}]}, "no reason given"),
        (None, ""),
        ([1], ""),
    ],
)
def test_other_shapes(document: Any, said: str) -> None:
    """OAuth errors are read too, and a shape that is none is no crash."""
    assert outcome.text(document) == said


@pytest.mark.parametrize(
    ("severity", "failed"),
    [("fatal", True), ("error", True), ("warning", False), ("information", False)],
)
def test_which_outcomes_are_errors(severity: str, *, failed: bool) -> None:
    """An OperationOutcome is an error by its severity, whatever the status it came with."""
    assert outcome.is_error(refusal("x", severity)) is failed


@pytest.mark.parametrize("document", [None, [], "x", {"resourceType": "Bot", "issue": [{}]}])
def test_other_documents_are_no_errors(document: Any) -> None:
    """Only an OperationOutcome can report a failure."""
    assert not outcome.is_error(document)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("two\n  lines", "two lines"),
        ("a\x1b[2Jb\x9bc\u202ed", "a\ufffd[2Jb\ufffdc\ufffdd"),
        ("Müller → 1", "Müller → 1"),
    ],
)
def test_somebody_elses_words_command_no_terminal(text: str, said: str) -> None:
    """What a server says is one line that a terminal shows and does not obey."""
    assert outcome.text(refusal(text)) == said


@pytest.mark.parametrize(("text", "said"), [("The reason", "The reason"), ("Forbidden", "")])
def test_what_the_server_said_is_told_apart(text: str, said: str) -> None:
    """The words of the server, or of a bot, can be withheld: the error knows which they are."""
    assert outcome.error(403, refusal(text), "POST fhir/R4/Bot/1/$execute").said == said
