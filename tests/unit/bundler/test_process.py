"""Running other programs: what they said, and clear errors where they cannot run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from medbots import errors
from medbots.bundler import process


def test_a_program_is_run_with_its_arguments_and_environment(tmp_path: Path) -> None:
    """Exit code, output and errors come back; nothing else of the environment is there."""
    script = (
        "import os, sys; print(sys.argv[1:], sys.stdin.read(), os.getcwd(), 'HOME' in os.environ);"
        "print('trouble', file=sys.stderr); sys.exit(3)"
    )
    done = process.run(
        [sys.executable, "-c", script, "a b", "$HOME"],
        folder=tmp_path,
        seconds=20,
        environ={},
        stdin=b"in",
    )
    assert (done.code, done.stderr) == (3, "trouble\n")
    assert done.stdout.decode() == f"['a b', '$HOME'] in {tmp_path} False\n"


def test_a_program_that_does_not_end_is_stopped(tmp_path: Path) -> None:
    """A limit in seconds is the caller's; the error names the program."""
    with pytest.raises(errors.BundleError, match=r"did not end within 0\.2 s"):
        process.run(
            [sys.executable, "-c", "import time; time.sleep(60)"],
            folder=tmp_path,
            seconds=0.2,
            environ={},
        )


def test_a_program_that_is_not_there_is_said(tmp_path: Path) -> None:
    """Neither a traceback nor a bare errno reaches the user."""
    with pytest.raises(errors.BundleError, match="cannot be started: No such file or directory"):
        process.run([str(tmp_path / "none")], folder=tmp_path, seconds=1, environ={})
