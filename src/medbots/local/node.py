"""Finds a Node that can run the local server."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from medbots import errors, nodejs

MINIMUM = (24, 0)
"""The first release whose `node:sqlite` the local server was tried with."""


def find() -> Path:
    """Return Node's program: the one from PyPI, else the system's when it is new enough.

    Raises:
        errors.LocalStackError: there is none.
    """
    packaged = nodejs.program()
    if packaged is not None:
        return packaged
    system = shutil.which("node")
    found = _version(system) if system else None
    if system and found and found >= MINIMUM:
        return Path(system)
    wanted = ".".join(map(str, MINIMUM))
    has = f"; {system} is {'.'.join(map(str, found))}" if found else ""
    raise errors.LocalStackError(
        f"the local server needs Node {wanted} or later{has}", hint="pip install 'medbots[local]'"
    )


def _version(program: str) -> tuple[int, int] | None:
    try:
        shown = subprocess.run(  # noqa: S603
            [program, "--version"], check=False, capture_output=True, text=True, timeout=10
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.match(r"v(\d+)\.(\d+)", shown)
    return (int(match[1]), int(match[2])) if match else None
