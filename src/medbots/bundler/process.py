"""Runs another program: the arguments are data, the time is limited."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medbots import errors


@dataclass(frozen=True, slots=True)
class Completed:
    """A program that has ended."""

    code: int
    stdout: bytes
    stderr: str


def run(
    argv: Sequence[str],
    *,
    folder: Path,
    seconds: float,
    environ: Mapping[str, str],
    stdin: bytes = b"",
) -> Completed:
    """Run a program to its end in `folder` and return what it said.

    Raises:
        errors.BundleError: it cannot be started, or did not end within `seconds`.
    """
    name = Path(argv[0]).name
    try:
        done = subprocess.run(  # noqa: S603 (a list of arguments, no shell)
            list(argv),
            cwd=folder,
            env=dict(environ),
            input=stdin,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise errors.BundleError(f"{name} did not end within {seconds:g} s") from error
    except OSError as error:
        said = error.strerror or str(error)
        raise errors.BundleError(f"{argv[0]} cannot be started: {said}") from error
    return Completed(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace"))
