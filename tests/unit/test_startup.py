"""What `--help` and `--version` load, by the interpreter's own record."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "psycopg",
    "httpx",
    "jinja2",
    "yaml",
    "pydantic",
    "asyncio",
    "rich",
    "importlib.metadata",
    "medbots.state",
)


@pytest.mark.parametrize(
    "args",
    [
        ["--help"],
        ["--version"],
        ["db", "--help"],
        ["login", "--help"],
        ["bot", "exec", "--help"],
        ["approvals", "approve", "--help"],
    ],
)
def test_help_loads_nothing_heavy(args: list[str]) -> None:
    """Help and version come without the network, database, template and terminal libraries."""
    script = (
        "import sys; from medbots.__main__ import run; code = run(sys.argv[1:]);"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr);"
        "sys.exit(code)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, *args], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr.strip()) == (0, "[]")
