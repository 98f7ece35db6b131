"""An error in JSON: one shape, wherever it stands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from medbots import __main__, errors
from medbots.cli import answers, error_json, options, render_bundles

SOURCES = Path(__main__.__file__).parent
URL = "postgresql://owner:hunter2@db/clinic"


def test_the_shape_is_the_contracts() -> None:
    """Code, message and hint; where there is no hint, null."""
    error = errors.ConflictError("it was changed", hint="run it again")
    assert error_json.document(error) == {
        "code": "conflict",
        "message": "it was changed",
        "hint": "run it again",
    }
    assert error_json.document(errors.ConflictError("it was changed", hint=""))["hint"] is None
    assert error_json.document(errors.ConflictError("it was changed"))["hint"] is None


def test_no_error_tells_a_password() -> None:
    """Neither its message nor its hint repeats what a URL carries."""
    shown = error_json.document(errors.DatabaseError(f"no answer from {URL}", hint=f"psql {URL}"))
    assert "hunter2" not in json.dumps(shown)
    assert "db/clinic" in str(shown["message"])
    assert "db/clinic" in str(shown["hint"])


def test_an_error_beside_something_else_tells_none_either(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Beside a bot's answer, and beside the problems of a manifest."""
    failed = errors.BotFailedError(f"bot 'x' failed: {URL}", hint=f"psql {URL}")
    beside = answers.document({"success": False}, failed)
    assert beside == {"success": False, "error": error_json.document(failed)}
    invalid = errors.ManifestError("medbots.yaml", [errors.Problem("database", "is no name")])
    invalid.hint = f"psql {URL}"
    render_bundles.invalid(options.Options(format="json"), invalid)
    printed = capsys.readouterr().out
    assert json.loads(printed)["error"] == error_json.document(invalid)
    assert "hunter2" not in json.dumps(beside) + printed


def test_nobody_else_writes_an_error() -> None:
    """A second place that makes the document is one that forgets to leave secrets out."""
    writes = re.compile(r"""["']hint["']\s*:""")
    found = [one.name for one in SOURCES.rglob("*.py") if writes.search(one.read_text())]
    assert found == ["error_json.py"]
