"""Questions of a login: what counts as an answer, and how to end one."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import NoReturn

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


def _raise(cause: type[BaseException]) -> Callable[..., NoReturn]:
    """Return a question that ends as Typer ends one."""

    def ask(*_: object, **__: object) -> NoReturn:
        abort = typer.Abort()
        abort.__context__ = cause()
        raise abort

    return ask


@pytest.mark.parametrize(
    ("cause", "ends"), [(EOFError, errors.DeclinedError), (KeyboardInterrupt, typer.Abort)]
)
def test_the_end_of_the_input_is_no_interruption(
    asker: prompts.LoginPrompts,
    monkeypatch: pytest.MonkeyPatch,
    cause: type[BaseException],
    ends: type[BaseException],
) -> None:
    """Ctrl-D answers nothing, so nothing is done: exit 1. Ctrl-C is exit 130."""
    monkeypatch.setattr(typer, "confirm", _raise(cause))
    monkeypatch.setattr(typer, "prompt", _raise(cause))
    opts = options.Options()
    for ask in (
        lambda: prompts.confirm(opts, "Delete them?"),
        lambda: prompts.text(opts, "Email", "--email"),
        lambda: prompts.hidden(opts, "Password", "--password-stdin"),
        asker.mfa_code,
        lambda: asker.membership(CHOICES),
    ):
        with pytest.raises(ends):
            ask()


def test_a_no_is_no_interruption(
    asker: prompts.LoginPrompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A no is exit 1, and says that nothing was done."""
    del asker
    monkeypatch.setattr(typer, "confirm", lambda *_, **__: False)
    with pytest.raises(errors.DeclinedError) as declined:
        prompts.confirm(options.Options(), "Delete them?")
    assert (declined.value.exit_code, declined.value.message) == (1, "Nothing was done.")


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
