"""Finds esbuild and Node: the bot project's own, what the environment names, PATH, and PyPI's."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from medbots import assets, errors, nodejs
from medbots.bundler import process

ESBUILD = "MEDBOTS_ESBUILD"
"""Environment variable that names the esbuild program."""

_INSTALL_SECONDS = 300.0
_PROCESSORS = {
    "x86_64": "x64",
    "amd64": "x64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "i386": "ia32",
    "i686": "ia32",
}


def esbuild(root: Path, environ: Mapping[str, str]) -> Path:
    """Return the esbuild program for the bot project in `root`.

    In this order: `MEDBOTS_ESBUILD`; the project's own, whose binary needs no Node; PATH; the
    project's own after `npm ci`, where the extra `medbots[node]` brings npm.

    Raises:
        errors.BundleError: there is none, with what to do about it.
    """
    named = environ.get(ESBUILD)
    if named:
        program = Path(named)
        if not program.is_file():
            raise errors.BundleError(f"{ESBUILD} names {named}, which is no file")
        return program
    found = _own_esbuild(root) or _on_path("esbuild", environ)
    if found is None and (root / "package-lock.json").is_file() and nodejs.npm() is not None:
        install(root, environ)
        found = _own_esbuild(root)
    if found is None:
        ways = [
            f"cd {root} && npm ci",
            "pip install 'medbots[node]', which brings npm",
            f"set {ESBUILD} to the path of an esbuild program",
        ]
        said = "a bot's source was changed, and there is no esbuild to bundle it"
        if root == assets.bot_templates() and not (root / "dist").is_dir():
            # Only in a checkout: an installed medbots brings the bundles.
            ways.insert(0, "make build")
            said = "this checkout is not built yet, and there is no esbuild to bundle the bots"
        raise errors.BundleError(f"{root}: {said}", hint="\nor: ".join(ways))
    return found


def esbuild_version(root: Path) -> str | None:
    """Return the version of the project's own esbuild, without running it."""
    import json  # noqa: PLC0415 (read once, and only where node_modules is there)

    try:
        text = (root / "node_modules" / "esbuild" / "package.json").read_text(encoding="utf-8")
        return str(json.loads(text)["version"])
    except (OSError, ValueError, KeyError):
        return None


def node(environ: Mapping[str, str]) -> Path | None:
    """Return a Node program: the one from PyPI, else the one on PATH."""
    return nodejs.program() or _on_path("node", environ)


def install(root: Path, environ: Mapping[str, str]) -> None:
    """Run `npm ci` in `root`, by the npm from PyPI.

    Raises:
        errors.BundleError: npm is not there, or failed.
    """
    command = nodejs.npm()
    if command is None:
        raise errors.BundleError("npm is not here", hint="pip install 'medbots[node]'")
    argv = [*command, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = process.run(
        argv, folder=root, seconds=_INSTALL_SECONDS, environ=with_node(Path(command[0]), environ)
    )
    if done.code:
        said = [line for line in done.stderr.splitlines() if line.startswith("npm error ")]
        told = "\n".join(said[:8]) or f"npm ended with {done.code}"
        raise errors.BundleError(f"npm ci failed in {root}:\n{told}")


def with_node(program: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which `node` is this program, also for npm's own scripts."""
    path = os.pathsep.join(filter(None, (str(program.parent), environ.get("PATH"))))
    return {**environ, "PATH": path}


def _on_path(name: str, environ: Mapping[str, str]) -> Path | None:
    found = shutil.which(name, path=environ.get("PATH", os.defpath))
    return Path(found) if found else None


def _own_esbuild(root: Path) -> Path | None:
    """Return the binary in node_modules of `root` or of a folder above it, as npm would."""
    machine = platform.machine().lower()
    package = f"{sys.platform}-{_PROCESSORS.get(machine, machine)}"
    tail = ("esbuild.exe",) if sys.platform == "win32" else ("bin", "esbuild")
    for folder in (root, *root.parents):
        program = (folder / "node_modules" / "@esbuild" / package).joinpath(*tail)
        if program.is_file():
            return program
    return None
