"""The page on the safety suite is current."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "build_safety_docs.py"


def test_the_page_is_current() -> None:
    """The committed page tells the cases and guards that there are: `make docs` writes it."""
    ended = subprocess.run([sys.executable, str(SCRIPT), "--check"], check=False)
    assert ended.returncode == 0
