"""Profiles: named sets of setting values, one server each, in files of the state folder."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from pathlib import Path

from medbots import config, errors, files

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Profiles:
    """The profiles under one folder. `default` exists also where it has no file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pointer = folder / ".active"

    def names(self) -> list[str]:
        """Return the names of all profiles, sorted."""
        with files.translated(self._folder):
            found = {path.stem for path in self._folder.glob("[!.]*.json")}
        return sorted(found | {config.DEFAULT_PROFILE})

    @property
    def active(self) -> str:
        """The profile that is used where none is named."""
        return (_text(self._pointer) or "").strip() or config.DEFAULT_PROFILE

    def values(self, name: str | None = None, *, new: bool = False) -> Mapping[str, str]:
        """Return a profile's values by variable, and its name as MEDBOTS_PROFILE.

        Raises:
            errors.UsageError: there is no such profile, and `new` does not allow for one.
        """
        name = name or self.active
        name = valid(name) if new else self.known(name)
        return {**self._read(name), config.PROFILE: name}

    def known(self, name: str) -> str:
        """Return `name`.

        Raises:
            errors.UsageError: no profile has it; the message says which comes near.
        """
        names = self.names()
        if name in names:
            return name
        near = difflib.get_close_matches(name, names, n=1)
        also = f"; did you mean {near[0]!r}?" if near else ""
        raise errors.UsageError(
            f"there is no profile {name!r}{also}",
            hint=f"medbots profile list; medbots --profile {name} login makes one",
        )

    def write(self, name: str, values: Mapping[str, str]) -> Path:
        """Replace the values of a profile, or make it; return its file."""
        path = self._path(valid(name))
        kept = {key: value for key, value in values.items() if key != config.PROFILE}
        files.write(path, json.dumps(kept, indent=2, sort_keys=True) + "\n")
        return path

    def activate(self, name: str) -> None:
        """Use a profile wherever none is named."""
        files.write(self._pointer, self.known(name) + "\n")

    def remove(self, name: str) -> None:
        """Delete a profile; if it was active, `default` is from now on."""
        path = self._path(self.known(name))
        if self.active == name:
            with files.translated(self._pointer):
                self._pointer.unlink(missing_ok=True)
        with files.translated(path):
            path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _read(self, name: str) -> dict[str, str]:
        path = self._path(name)
        text = _text(path)
        if text is None:
            return {}
        try:
            values = json.loads(text)
        except ValueError:
            values = None
        if not isinstance(values, dict) or not all(isinstance(one, str) for one in values.values()):
            raise errors.UsageError(
                f"{path} is no profile: a JSON object of texts is wanted",
                hint=f"medbots profile remove {name}",
            )
        return values


def valid(name: str) -> str:
    """Return `name` if it can name a profile.

    Raises:
        errors.UsageError: it could not be the name of a file.
    """
    if _NAME.fullmatch(name):
        return name
    raise errors.UsageError(
        f"{name!r} cannot name a profile: letters, digits, '.', '_' and '-', at most 64"
    )


def _text(path: Path) -> str | None:
    with files.translated(path):
        try:
            return path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
