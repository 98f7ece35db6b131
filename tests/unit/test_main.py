"""The error boundary: message, hint, exit code, and JSON where it was asked for."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from medbots import __main__ as boundary
from medbots import errors
from medbots.cli import changes, render, wiring


def test_unknown_command_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """A typo is exit 64, so that a pipeline can tell it from drift."""
    assert boundary.run(["depoly"]) == 64
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "depoly" in captured.err


@pytest.mark.parametrize("args", [[], ["db"], ["local"], ["subscriptions"]])
def test_without_a_verb_the_help_is_shown(
    args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Who types only `medbots`, or only a noun, sees its verbs; a pipeline sees a usage error."""
    assert boundary.run(args) == 64
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"Usage: {' '.join(['medbots', *args])} [OPTIONS] COMMAND")


def test_a_terminal_without_utf8(tmp_path: Path) -> None:
    """What an encoding lacks is escaped, and ends no command in a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "medbots", "profile", "show", "höhle→"],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "MEDBOTS_STATE_DIR": str(tmp_path)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 64
    assert rb"error: there is no profile 'h\xf6hle\u2192'" in done.stderr


def _shell(line: str, state: Path) -> tuple[int, str]:
    """Exit code and stderr of one line of sh, in which `medbots` is the command."""
    done = subprocess.run(
        ["/bin/sh", "-c", line.replace("medbots", f"{sys.executable} -m medbots")],
        env={**os.environ, "MEDBOTS_STATE_DIR": str(state)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="redirections of sh")
@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("medbots profile list >&-", 0, ""),
        ("medbots profile list --format json >&-", 0, ""),
        ("medbots profile show nix 2>&-", 64, ""),
        ("medbots validate | true", 0, ""),
        ("medbots profile show nix --format json | true", 0, ""),
    ],
)
def test_nobody_listens(line: str, code: int, said: str, tmp_path: Path) -> None:
    """A closed stdout or stderr, or a pipe that nobody reads, ends no command in a traceback."""
    assert _shell(line, tmp_path) == (code, said)


def test_the_help_names_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever writes a script finds each code that a command can end with, in its table."""
    assert boundary.run(["--help"]) == 0
    table = capsys.readouterr().out.partition("Exit codes:\n")[2]
    named = {int(one) for one in re.findall(r"(?:^| )(\d+) [a-z]", table, re.MULTILINE)}

    def below(kind: type[errors.MedbotsError]) -> set[int]:
        return {kind.exit_code}.union(*(below(one) for one in kind.__subclasses__()))

    assert named == below(errors.MedbotsError) | {0, 2, boundary._UNHEARD}
    assert max(len(line) for line in table.splitlines()) <= 80


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("args", "code"),
    [
        ("--help", 141),
        ("profile list", 141),
        ("profile list --format json", 141),
        ("verify --list-checks", 141),
        ("profile show nix --format json", 64),
        ("verify --list-checks --format json", 141),
    ],
)
def test_nobody_reads_on(tmp_path: Path, args: str, code: int, unbuffered: str) -> None:
    """Whoever reads has gone, as head does: without a word 141, and of a failure its own code."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "medbots", *args.split()],
        env={**os.environ, "MEDBOTS_STATE_DIR": str(tmp_path), "PYTHONUNBUFFERED": unbuffered},
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (code, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
@pytest.mark.parametrize(("args", "code"), [("depoly", 64), ("profile list", 0)])
def test_nobody_reads_what_is_narrated(tmp_path: Path, args: str, code: int) -> None:
    """Where stderr is a pipe that nobody reads, a failure is told by its code all the same."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "medbots", *args.split()],
        env={**os.environ, "MEDBOTS_STATE_DIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=write,
        check=False,
    )
    os.close(write)
    assert done.returncode == code


def test_another_end_of_the_process_is_not_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends the process for another reason keeps its code."""

    def ends(*_: object) -> NoReturn:
        raise SystemExit(3)

    monkeypatch.setattr(changes, "execute", ends)
    with pytest.raises(SystemExit) as ended:
        boundary.run(["plan"])
    assert ended.value.code == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is full")
@pytest.mark.parametrize("args", ["profile show", "profile list --format json", "--help"])
def test_stdout_leads_to_a_full_disk(args: str, tmp_path: Path) -> None:
    """A full disk is said in one line, wherever it turns up."""
    code, said = _shell(f"medbots {args} > /dev/full", tmp_path)
    assert (code, said.splitlines()[0]) == (1, "error: no space left to write to")


def test_json_is_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    """A document can be read whatever encoding a pipe has."""
    render.json({"name": "Höhle → 1"})
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == {"name": "Höhle → 1"}


@pytest.mark.parametrize("args", [["--format", "json", "depoly"], ["depoly", "--format=json"]])
def test_usage_error_as_json(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Also a line that cannot be parsed answers in JSON when JSON was asked for."""
    assert boundary.run(args) == 64
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "usage"
    assert "depoly" in error["message"]


def test_unknown_format(capsys: pytest.CaptureFixture[str]) -> None:
    """A format that does not exist names those that do."""
    assert boundary.run(["plan", "--format", "yaml"]) == 64
    assert "none of 'text', 'json'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.MedbotsError("m"), 1),
        (errors.PartlyAppliedError("m"), 3),
        (errors.NotLoggedInError("m"), 4),
        (errors.NotAllowedError("m"), 4),
        (errors.UnreachableError("m"), 5),
        (errors.UsageError("m"), 64),
        (errors.ManifestError("f", [errors.Problem("a", "m")]), 65),
        (errors.BundleError("m"), 65),
        (errors.InterruptedByUserError("m"), 130),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes(
    error: BaseException,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each kind of trouble has the contract's exit code and no traceback."""

    def fails(*_: object) -> NoReturn:
        raise error

    monkeypatch.setattr(changes, "execute", fails)
    assert boundary.run(["plan"]) == code
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (["depoly"], "medbots --help"),
        (["deploy", "--nix"], "medbots deploy --help"),
        (["db", "inti"], "medbots db --help"),
        (["profile", "use"], "medbots profile use --help"),
    ],
)
def test_a_usage_error_names_the_help_that_helps(
    args: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The hint is the help of the command that was meant, not of all."""
    assert boundary.run(args) == 64
    assert capsys.readouterr().err.endswith(f"\nhint: {hint}\n")


@pytest.mark.parametrize("args", [["-h"], ["deploy", "-h"], ["db", "init", "-h"]])
def test_short_help(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """-h is --help, everywhere."""
    assert boundary.run(args) == 0
    assert capsys.readouterr().out.startswith("Usage: medbots ")


def test_help_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    """Each verb's sentence is whole, in the order of a deployment, and the exit codes follow."""
    assert boundary.run(["--help"]) == 0
    said = capsys.readouterr().out
    assert "..." not in said.partition("Commands:")[2]
    verbs = [line.split()[0] for line in said.splitlines() if line[:3].strip() and line[2:3] != "-"]
    shown = [verb for verb in verbs if verb in {"login", "plan", "deploy", "db", "verify", "demo"}]
    assert shown == ["login", "plan", "deploy", "db", "verify", "demo"]
    assert "65 manifest or bundle invalid" in said


def test_interrupted_outside_of_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C while Python still loads, or when all is said, is exit 130 without a traceback."""

    def interrupted(_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(boundary, "run", interrupted)
    with pytest.raises(SystemExit) as ended:
        boundary.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "error: Interrupted.\n"


@pytest.mark.filterwarnings("error")
def test_interrupted_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the moment before the work starts leaves no warning about it."""
    begun = []

    async def work() -> None:
        begun.append(1)

    def interrupted(**_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(asyncio, "Runner", interrupted)
    with pytest.raises(errors.InterruptedByUserError):
        wiring.run(work())
    assert begun == []


def test_secrets_in_a_message_are_redacted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A URL's password does not reach the terminal, wherever it came from."""

    def fails(*_: object) -> NoReturn:
        raise errors.MedbotsError(
            "at postgresql://u:hunter22@h/db", hint="https://h/x?token=hunter22"
        )

    monkeypatch.setattr(changes, "execute", fails)
    for args in (["plan"], ["plan", "--format", "json"]):
        boundary.run(args)
        captured = capsys.readouterr()
        assert "hunter22" not in captured.out + captured.err


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no MedbotsError is a bug, and is not dressed up as a user's mistake."""

    def fails(*_: object) -> NoReturn:
        raise ZeroDivisionError

    monkeypatch.setattr(changes, "execute", fails)
    with pytest.raises(ZeroDivisionError):
        boundary.run(["plan"])
