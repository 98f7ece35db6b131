"""Runs the command line as users do: as a process, on a local stack of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import medbots
from medbots import config
from medbots.local.supervisor import Event, Supervisor, Wish

ARGV = (sys.executable, "-m", "medbots")


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without settings of medbots, and with `more`."""
    hidden = {*config.VARIABLES.values(), config.PROFILE}
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return {**kept, "PYTHONPATH": str(Path(medbots.__file__).parents[1]), **more}


def run(environ: Mapping[str, str], *args: str) -> Any:
    """Run a command with `--format json` and return its document.

    Raises:
        RuntimeError: it failed; the message holds what it said.
    """
    done = subprocess.run(
        [*ARGV, *args, "--format", "json"],
        check=False,
        capture_output=True,
        text=True,
        env=dict(environ),
    )
    if done.returncode != 0:
        raise RuntimeError(f"medbots {' '.join(args)}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


@contextmanager
def stack() -> Iterator[dict[str, str]]:
    """Give the environment of a fresh local stack, which is deleted at the end."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:
        folder = Path(made)
        folder.chmod(0o711)  # root's Postgres runs as nobody, and must pass through
        supervisor = Supervisor(folder / "local", preferred={})
        profile = supervisor.up(Wish(), _ignore)
        try:
            yield environment({**profile, "MEDBOTS_STATE_DIR": made})
        finally:
            supervisor.reset(_ignore)


def _ignore(_: Event) -> None:
    """Take an event of the stack."""
