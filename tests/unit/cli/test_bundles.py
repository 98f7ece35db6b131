"""`validate` and `bundle`: what they print, where, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from medbots import __main__ as boundary
from medbots.bundler import tools
from tests.support import bot_project

MANIFEST = """\
version: 1
bots:
  bot: {name: Bot, source: src/bot.ts}
  other: {name: Other, source: src/other.ts}
subscriptions:
  task:
    name: Task
    criteria: Task
    bot: bot
"""
BAD = "export const handler = async (): Promise<void> => console.error('x');\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of two sound bots, which is the working folder."""
    monkeypatch.setenv(tools.ESBUILD, bot_project.environment()[tools.ESBUILD])
    sources = {"src/bot.ts": bot_project.HANDLER, "src/other.ts": bot_project.HANDLER}
    made = bot_project.make(tmp_path, {**sources, "medbots.yaml": MANIFEST})
    monkeypatch.chdir(made)
    return made


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command line."""
    code = boundary.run(args)
    said = capsys.readouterr()
    return code, said.out, said.err


def document(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, Any]:
    """Exit code and the one JSON document on stdout."""
    code, out, err = run(capsys, *args, "--format", "json")
    assert err == ""
    return code, json.loads(out)


def test_validate_says_what_is_valid(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line on stdout, exit code 0."""
    said = f"{folder / 'medbots.yaml'}: 2 bots, 1 subscription: valid\n"
    assert run(capsys, "validate") == (0, said, "")


def test_validate_tells_an_invalid_manifest(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every problem with its line on stderr, exit code 65, nothing on stdout."""
    text = MANIFEST.replace("criteria: Task", "criteria: Tsk").replace("version", "versoin")
    (folder / "medbots.yaml").write_text(text)
    code, out, err = run(capsys, "validate")
    assert (code, out) == (65, "")
    assert err == (
        f"error: {folder / 'medbots.yaml'}: 3 problems\n"
        "  line 1: version: missing\n"
        "  line 1: versoin: unknown key; did you mean 'version'?\n"
        "  line 8: subscriptions.task.criteria: 'Tsk' is no resource type; did you mean 'Task'?\n"
    )


def test_validate_tells_an_invalid_manifest_to_machines(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON lists the problems one by one, beside the contract's `error`."""
    (folder / "medbots.yaml").write_text(MANIFEST.replace("bot: bot", "bot: bat"))
    code, found = document(capsys, "validate")
    assert (code, found["ok"], found["error"]["code"]) == (65, False, "manifest-invalid")
    assert found["problems"] == [
        {
            "path": "subscriptions.task.bot",
            "line": 9,
            "message": "there is no bot 'bat'; did you mean 'bot'?",
        }
    ]


def test_validate_tells_what_a_bundle_would_do(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bot that the lint refuses makes the whole invalid, in text and in JSON."""
    (folder / "src/other.ts").write_text(BAD)
    code, out, err = run(capsys, "validate")
    assert code == 65
    assert out.endswith("2 bots, 1 subscription: 1 bot refused\n")
    assert err.startswith("error: other: src/other.ts:1:51: console.error does not exist")
    code, found = document(capsys, "validate")
    assert (code, found["ok"]) == (65, False)
    assert [(one["key"], len(one["findings"])) for one in found["bots"]] == [
        ("bot", 0),
        ("other", 1),
    ]
    finding = found["bots"][1]["findings"][0]
    assert (finding["rule"], finding["file"], finding["line"]) == ("console", "src/other.ts", 1)
    assert found["summary"] == {"bots": 2, "refused": 1, "errors": 1, "warnings": 0}


def test_validate_tells_a_bot_that_cannot_be_bundled(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A syntax error is an error of that bot; the other is still judged."""
    (folder / "src/bot.ts").write_text("export const = 1;")
    code, found = document(capsys, "validate")
    assert (code, found["summary"]["errors"]) == (65, 1)
    assert found["bots"][0]["digest"] is None
    assert "src/bot.ts:1:13" in found["bots"][0]["error"]
    assert found["bots"][1]["error"] is None


def test_validate_shows_warnings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is only warned of stands on stdout and leaves the exit code at 0."""
    text = MANIFEST + "    fhirPathCriteria: \"%previous.status != 'x'\"\n"
    (folder / "medbots.yaml").write_text(text)
    code, out, err = run(capsys, "validate")
    assert (code, err) == (0, "")
    assert out.startswith("warning: medbots.yaml: line 10: subscriptions.task.fhirPathCriteria: ")
    _, found = document(capsys, "validate")
    assert (found["ok"], [one["line"] for one in found["warnings"]]) == (True, [10])


def test_bundle_writes_where_it_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON gives key, digest, size and file of each bundle."""
    code, found = document(capsys, "bundle", "--out", "built", "--only", "o*")
    made = (folder / "built" / "other.js").read_bytes()
    assert code == 0
    assert [(one["key"], one["bytes"], one["file"]) for one in found["bundles"]] == [
        ("other", len(made), "built/other.js")
    ]
    assert sorted(file.name for file in (folder / "built").iterdir()) == [
        "other.js",
        "other.js.map",
    ]


def test_bundle_shows_what_was_built(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second time nothing is built."""
    assert run(capsys, "bundle")[1].count("built") == 2
    assert run(capsys, "bundle")[1].count("unchanged") == 2


def test_bundle_refuses_and_writes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One bad bot and nothing is written, not even the good ones."""
    (folder / "src/other.ts").write_text(BAD)
    code, found = document(capsys, "bundle", "--out", "built")
    assert (code, found["error"]["code"]) == (65, "bundle-invalid")
    assert not (folder / "built").exists()


def test_a_glob_that_matches_nothing_is_a_usage_error(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing matched is never success."""
    code, found = document(capsys, "bundle", "--only", "othr")
    assert folder.is_dir()
    assert (code, found["error"]["hint"]) == (64, "did you mean other?")


def test_no_server_is_reached(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Validate works without any setting, and loads no network library."""
    assert folder.is_dir()
    code, out, _ = run(capsys, "validate", "--base-url", "http://127.0.0.1:9/")
    assert (code, out.endswith("valid\n")) == (0, True)
