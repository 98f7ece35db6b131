"""Questions at a terminal: on stderr, so that stdout stays data."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import typer

from medbots import errors
from medbots.cli import options

if TYPE_CHECKING:
    from medbots.medplum.login import Membership


def text(opts: options.Options, question: str, instead: str) -> str:
    """Ask for one line.

    Raises:
        errors.UsageError: there is nobody to ask; `instead` is what to give in place of an answer.
        errors.DeclinedError: the input ended without an answer.
    """
    _expect_somebody(opts, question, instead)
    with _answered():
        return str(typer.prompt(question, err=True)).strip()


def hidden(opts: options.Options, question: str, instead: str) -> str:
    """Ask for a secret, which is not shown.

    Raises:
        errors.UsageError: there is nobody to ask.
        errors.DeclinedError: the input ended without an answer.
    """
    _expect_somebody(opts, question, instead)
    with _answered(ended=True):
        return str(typer.prompt(question, hide_input=True, err=True))


def confirm(opts: options.Options, question: str) -> None:
    """Go on only after a yes: from `--yes`, or from the person at the terminal.

    Raises:
        errors.ConfirmationError: there is nobody to ask.
        errors.DeclinedError: the answer was no, or none.
    """
    if opts.yes:
        return
    if not opts.interactive:
        raise errors.ConfirmationError(hint="--yes")
    with _answered():
        agreed = typer.confirm(question, err=True)
    if not agreed:
        raise errors.DeclinedError


def _expect_somebody(opts: options.Options, question: str, instead: str) -> None:
    if not opts.interactive:
        raise errors.UsageError(
            f"{question.lower()} is missing, and there is no terminal to ask at", hint=instead
        )


class LoginPrompts:
    """Answers what a login asks: first the code that was given, then the person."""

    def __init__(self, opts: options.Options, mfa_code: str | None) -> None:
        self._opts = opts
        self._given = mfa_code

    def mfa_code(self) -> str | None:
        """Return the code of the authenticator app."""
        given, self._given = self._given, None
        if given is not None or not self._opts.interactive:
            return given
        with _heard():
            return str(typer.prompt("Code of the authenticator app", err=True))

    def membership(self, choices: Sequence[Membership]) -> Membership | None:
        """Return the membership that the person chose."""
        if not self._opts.interactive:
            return None
        for number, one in enumerate(choices, 1):
            typer.echo(f"  {number}  {one}", err=True)
        with _heard():
            while True:
                answer = str(typer.prompt("Project", err=True)).strip()
                if answer.isdecimal() and 1 <= int(answer) <= len(choices):
                    return choices[int(answer) - 1]
                typer.echo(f"a number from 1 to {len(choices)}", err=True)


@contextlib.contextmanager
def _heard() -> Iterator[None]:
    """Let Ctrl-C end a question at once.

    A login asks from within a running loop, which takes the signal and waits for its task: and
    that waits for the answer.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with _answered():
            yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _answered(*, ended: bool = False) -> Iterator[None]:
    """Tell Ctrl-C, which interrupts the command, from Ctrl-D, which answers nothing.

    `ended`: Typer ends the question's line itself.
    """
    try:
        yield
    except typer.Abort as abort:
        if not ended:
            typer.echo(err=True)
        if isinstance(abort.__context__, EOFError):
            raise errors.DeclinedError from None
        raise
