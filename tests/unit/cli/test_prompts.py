"""Questions of a login: what counts as an answer, and how to end one."""

from __future__ import annotations

import signal
import sys

import pytest
import typer

from medbots import errors
from medbots.cli import options, prompts, wiring
from medbots.medplum.login import Membership

CHOICES = [Membership(f"m{n}", f"p{n}", f"Project {n}", "Ada") for n in (1, 2)]


@pytest.fixture
def asker(monkeypatch: pytest.MonkeyPatch) -> prompts.LoginPrompts:
    """A person at a terminal."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    return prompts.LoginPrompts(options.Options(), None)


async def _choose(asker: prompts.LoginPrompts) -> Membership | None:
    return asker.membership(CHOICES)


@pytest.mark.parametrize("wrong", ["0", "3", "-1", "x", "", "1.0", "²"])
def test_only_a_listed_number_is_an_answer(
    asker: prompts.LoginPrompts,
    wrong: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Anything else is asked again, with what would be right."""
    answers = [wrong, " 2 "]
    monkeypatch.setattr(typer, "prompt", lambda *_, **__: answers.pop(0))
    assert wiring.run(_choose(asker)) == CHOICES[1]
    assert capsys.readouterr().err.splitlines()[-1] == "a number from 1 to 2"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_ends_a_question_at_once(
    asker: prompts.LoginPrompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The running loop does not keep the signal to itself until somebody answers."""
    answered = []

    def prompt(*_: object, **__: object) -> str:
        signal.raise_signal(signal.SIGINT)
        answered.append("1")
        return "1"

    monkeypatch.setattr(typer, "prompt", prompt)
    with pytest.raises(errors.InterruptedByUserError):
        wiring.run(_choose(asker))
    assert answered == []
