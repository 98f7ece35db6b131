"""The JSON of `verify`, key by key, as pipelines rely on it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from medbots import __main__ as boundary
from medbots import check, errors, state
from medbots.checks import target
from medbots.cli import render_checks, verify
from tests.support.stand import Stand

KEYS = {"id", "status", "severity", "observed", "expected", "fix", "durationMs"}


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    """A project in memory that the command looks at."""
    stand = Stand()

    def stood(*_: object, strict: bool, **__: object) -> target.Target:
        return stand.target(strict=strict)

    monkeypatch.setattr(verify, "target_of", stood)
    return stand


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, Any, str]:
    """Run `medbots verify` as JSON; return exit code, document and stderr."""
    code = boundary.run(["verify", "--format", "json", *args])
    captured = capsys.readouterr()
    return code, json.loads(captured.out), captured.err


def test_shape(stand: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    """The document has the contract's keys, and a skipped check its reason beside them."""
    stand.clinic.rights = state.Rights()
    code, document, err = run(capsys, "--only", "login.*,medplum.*")
    assert code == 1
    assert set(document) == {"ok", "checks", "summary", "durationMs"}
    assert document["ok"] is False
    assert document["summary"] == {"pass": 3, "warn": 0, "fail": 1, "skip": 1}
    by_id = {one["id"]: one for one in document["checks"]}
    assert set(by_id["login.rights"]) == KEYS
    assert set(by_id["login.policies"]) == KEYS | {"reason"}
    assert by_id["login.policies"]["reason"] == "login.rights failed"
    assert by_id["login.rights"] | {"durationMs": 0} == {
        "id": "login.rights",
        "status": "fail",
        "severity": "error",
        "observed": "a member without admin rights in 'Clinic'",
        "expected": "project admin",
        "fix": "log in as a project admin: medbots login",
        "durationMs": 0,
    }
    assert isinstance(document["durationMs"], int)
    assert err == ""


def test_all_pass_is_exit_0(stand: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    """A run in which nothing fails exits with 0."""
    code, document, _ = run(capsys, "--only", "medplum.*")
    assert (code, document["ok"]) == (0, True)


@pytest.mark.parametrize(
    "trouble",
    [
        errors.NotLoggedInError("the password is wrong"),
        errors.UnreachableError("the connection broke"),
        errors.NotAllowedError("forbidden"),
    ],
)
def test_a_failed_check_is_exit_1_whatever_failed(
    stand: Stand, capsys: pytest.CaptureFixture[str], trouble: errors.MedbotsError
) -> None:
    """A refused login or a server that is down is a failed check here, with the whole document."""
    stand.login = trouble
    code, document, _ = run(capsys, "--only", "login.valid")
    assert (code, document["ok"]) == (1, False)
    assert document["checks"][0]["observed"] == trouble.message


def test_fail_on_warning(stand: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    """A warning passes by default, and fails where warnings fail; `ok` says the same."""
    stand.models = ("embedding-model",)
    code, document, _ = run(capsys, "--only", "router.*")
    assert (code, document["ok"]) == (0, True)
    assert document["checks"][1]["status"] == "warn"
    assert document["checks"][1]["severity"] == "warning"
    code, document, _ = run(capsys, "--only", "router.*", "--fail-on", "warning")
    assert (code, document["ok"]) == (1, False)


@pytest.mark.parametrize(
    "args",
    [
        ("--only", "nothing.*"),
        ("--skip", "nothing.*"),
        ("--wait", "soon"),
        ("--interval", "-1s"),
        ("--fail-on", "info"),
    ],
)
def test_usage(stand: Stand, capsys: pytest.CaptureFixture[str], args: tuple[str, ...]) -> None:
    """What makes no sense is a usage error that repeats what was given."""
    code, document, _ = run(capsys, *args)
    assert code == 64
    assert document["error"]["code"] == "usage"
    assert args[1] in document["error"]["message"]


def test_skip_is_reported(stand: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    """What was left out on purpose is in the document, with that reason."""
    _, document, _ = run(capsys, "--only", "medplum.*", "--skip", "*.version")
    assert [(one["status"], one.get("reason")) for one in document["checks"]] == [
        ("pass", None),
        ("skip", "left out by --skip"),
    ]


def test_list_checks(stand: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    """The listing names ids, titles and severities, and opens nothing."""
    stand.login = errors.UnreachableError("never asked")
    code, document, _ = run(capsys, "--list-checks", "--only", "login.*")
    assert code == 0
    assert [one["id"] for one in document["checks"]] == [
        "login.valid",
        "login.rights",
        "login.policies",
    ]
    assert document["checks"][2]["severity"] == "warning"
    assert all(one["title"] for one in document["checks"])
    assert (stand.logins, stand.clinic.calls) == (0, [])


def test_text_ends_with_what_is_wrong(stand: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    """As text, failures come last and in full, and the summary after them."""
    stand.clinic.rights = state.Rights()
    stand.models = ()
    assert boundary.run(["verify", "--only", "login.*,router.*"]) == 1
    out = capsys.readouterr().out
    warned, failed = out.index("warn  router.models"), out.index("fail  login.rights")
    assert out.index("login.valid") < warned < failed
    assert out[failed:].splitlines()[:4] == [
        "fail  login.rights",
        "      observed  a member without admin rights in 'Clinic'",
        "      expected  project admin",
        "      fix       log in as a project admin: medbots login",
    ]
    assert out.splitlines()[-1].startswith("not ok: 2 passed, 1 warned, 1 failed, 1 skipped in ")


def test_repetition_is_narrated_on_stderr(stand: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    """While it waits, stderr says what is missing; stdout stays one document."""
    stand.login = errors.UnreachableError("not yet")
    code, document, err = run(
        capsys, "--only", "login.valid", "--wait", "100ms", "--interval", "60ms"
    )
    assert (code, document["summary"]["fail"]) == (1, 1)
    assert "not yet: login.valid" in err


def test_secrets_are_redacted_in_results() -> None:
    """Whatever a check lets through, the printer takes passwords out of URLs."""
    result = check.failed("postgresql://a:hunter2@h/d", "x", "psql postgresql://a:hunter2@h/d")
    assert "hunter2" not in json.dumps(render_checks.document(check.Report((result,))))
