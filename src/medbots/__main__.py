"""The error boundary: every trouble becomes one message, a hint and an exit code.

What takes time to load is loaded inside of it, where Ctrl-C is already one of the troubles.
"""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import json
import os
import sys
from collections.abc import Sequence

from medbots import errors
from medbots.cli import error_json

_FULL = (errno.ENOSPC, errno.EDQUOT)
"""A disk that is full, wherever it turns up: a file that stdout leads to, or one for a while."""
_UNHEARD = 128 + 13
"""The exit code when whoever reads the output has gone, as of `medbots bot logs | head`.

It is what a shell tells of git, cat and most tools, which SIGPIPE ends (13). Not 0, for the command
may have had more to do than to print: a script with `pipefail` has to hear of it.
"""


def main() -> None:
    """Run the command line and exit with the contract's code."""
    try:
        code = _main()
    except KeyboardInterrupt:
        # Ctrl-C before the command has begun, or after its end.
        code = _report(errors.InterruptedByUserError(), sys.argv[1:])
    if code == _UNHEARD:
        _discard()
    sys.exit(code)


def _discard() -> None:
    """Lead what is still to be written into nothing: Python would complain of it at its end."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.dup2(nothing, stream.fileno())  # type: ignore[union-attr]


def _main() -> int:
    # Where a caller has closed them, what is said goes nowhere.
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A pipe on Windows, or a terminal without UTF-8, must not turn a name into a traceback.
            stream.reconfigure(errors="backslashreplace")
    return run(sys.argv[1:])


def run(args: Sequence[str]) -> int:
    """Run one command line; return its exit code.

    Only a MedbotsError is a user's trouble. Any other exception is a defect and keeps its
    traceback.
    """
    import typer  # noqa: PLC0415

    from medbots.cli import app  # noqa: PLC0415

    command = typer.main.get_command(app.app)
    try:
        code = command.main(list(args), prog_name="medbots", standalone_mode=False)
    except errors.MedbotsError as error:
        return _report(error, args)
    except SystemExit as ended:
        # What typer and rich make of a pipe that nobody reads.
        if not _is_unheard(ended):
            raise
        return _UNHEARD
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        of = context.command_path if context else "medbots"
        return _report(errors.UsageError(error.format_message(), hint=f"{of} --help"), args)
    except BrokenPipeError:
        return _UNHEARD
    except OSError as error:
        if error.errno not in _FULL:
            raise
        full = errors.StorageError("no space left to write to", hint="free some, and run it again")
        # Not as JSON: it may be stdout that takes no more.
        return _report(full, ())
    except typer.Abort:
        code = errors.InterruptedByUserError.exit_code
    if code == errors.InterruptedByUserError.exit_code:
        # Typer turns Ctrl-C into this code, silently.
        return _report(errors.InterruptedByUserError(), args)
    return code if isinstance(code, int) else 0


def _is_unheard(error: BaseException) -> bool:
    """Whether an error came of a pipe that nobody reads."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, BrokenPipeError):
        found = found.__context__
    return found is not None


def _report(error: errors.MedbotsError, args: Sequence[str]) -> int:
    """Say what failed: in words on stderr, or as the contract's JSON on stdout."""
    if error.reported:
        return error.exit_code
    shown = error_json.document(error)
    stream = sys.stdout if _wants_json(args) else sys.stderr
    try:
        if stream is sys.stdout:
            stream.write(json.dumps({"error": shown}) + "\n")
        else:
            hint = shown["hint"]
            stream.write(f"error: {shown['message']}\n" + (f"hint: {hint}\n" if hint else ""))
        stream.flush()
    except BrokenPipeError:
        # Nobody reads why it failed: that it did is still to be told.
        _discard()
    return error.exit_code


def _wants_json(args: Sequence[str]) -> bool:
    """Whether JSON was asked for, also on a line that could not be parsed."""
    pairs = itertools.pairwise([*args, ""])
    return any(one == "--format=json" or (one, two) == ("--format", "json") for one, two in pairs)


if __name__ == "__main__":
    main()
