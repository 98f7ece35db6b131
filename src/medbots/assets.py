"""Finds the files that ship beside the code, in a wheel and in a checkout."""

from __future__ import annotations

from pathlib import Path

from medbots import errors

_PACKAGE = Path(__file__).resolve().parent


def root() -> Path:
    """Return the folder that holds `bot_templates`, `local_server`, `sql` and `compose`.

    Raises:
        errors.MedbotsError: the installation is incomplete.
    """
    for folder in (_PACKAGE / "_assets", _PACKAGE.parent.parent):
        if (folder / "bot_templates" / "medbots.yaml").is_file():
            return folder
    raise errors.MedbotsError(
        "this installation of medbots lacks its bots and SQL files",
        hint="pip install --force-reinstall medbots",
    )


def bot_templates() -> Path:
    """Return the folder of the packaged bots: manifest, sources and built bundles."""
    return root() / "bot_templates"


def sql() -> Path:
    """Return the folder of migrations and named queries."""
    return root() / "sql"


def compose() -> Path:
    """Return the folder of the compose templates."""
    return root() / "compose"


def local_server() -> Path:
    """Return the built program of the local Medplum-compatible server.

    Raises:
        errors.MedbotsError: it has not been built (only possible in a checkout).
    """
    program = root() / "local_server" / "dist" / "server.mjs"
    if not program.is_file():
        raise errors.MedbotsError("the local server is not built", hint="make build")
    return program
