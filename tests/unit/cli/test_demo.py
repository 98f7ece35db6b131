"""`demo`: what it says when it does not come to its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from medbots import __main__ as boundary
from medbots import errors, secret
from medbots.cli import demo_story
from medbots.local import supervisor

PROFILE = {"MEDPLUM_BASE_URL": "http://localhost:1/"}


@pytest.fixture
def down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A stack that starts at once and has a log; what stopped it is in the list."""
    log = tmp_path / "medplum.log"
    log.write_text("the last line\n")
    stopped: list[str] = []

    class Stack:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def up(self, _: object, tell: Callable[[supervisor.Event], None]) -> dict[str, str]:
            tell(supervisor.Event("medplum", "starting"))
            return PROFILE

        def importer(self) -> tuple[str, secret.Secret]:
            return "client", secret.Secret("word")

        def down(self, _: object) -> None:
            stopped.append("medplum")

        def logs(self) -> dict[str, Path]:
            return {"medplum": log}

    monkeypatch.setenv("MEDBOTS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(supervisor, "Supervisor", Stack)
    return stopped


def _ends_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    async def tell(_: object, story: demo_story.Story) -> NoReturn:
        with story.step("verify", "verify"):
            raise error

    monkeypatch.setattr(demo_story, "tell", tell)


def test_a_failure_shows_the_logs(
    down: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The step is named, the services' last words come first, and the stack is stopped."""
    _ends_with(monkeypatch, errors.CheckFailedError("two checks failed"))
    assert boundary.run(["demo"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert [line[-13:] for line in said if "last line" in line] == ["the last line"]
    assert said[-2].split()[2:] == ["verify", "failed"]
    assert said[-1] == "error: two checks failed"
    assert down == ["medplum"]


def test_an_interruption_shows_no_logs(
    down: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C is no failure of a service; the stack is stopped all the same."""
    _ends_with(monkeypatch, errors.InterruptedByUserError())
    assert boundary.run(["demo"]) == 130
    said = capsys.readouterr().err.splitlines()
    assert not [line for line in said if "last line" in line]
    assert said[-2].split()[2:] == ["verify", "interrupted"]
    assert down == ["medplum"]


def test_a_stack_in_use_shows_no_logs(
    down: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nothing was started, the logs are of another run, which goes on."""

    def busy(*_: object) -> NoReturn:
        raise errors.LocalStackError("another medbots command is changing this stack")

    monkeypatch.setattr(supervisor.Supervisor, "up", busy)
    assert boundary.run(["demo"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert not [line for line in said if "last line" in line]
    assert down == []
