"""Stored logins: one file a profile, bound to the server that issued the tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from medbots import errors, files, secret
from medbots.medplum import identity, profiles, tokens


@dataclass(frozen=True, slots=True)
class Session:
    """A login that outlives the process."""

    base_url: str
    """The only server that these tokens are sent to."""
    user: str
    project: identity.ProjectRef
    tokens: tokens.Tokens


class Sessions:
    """The sessions and profiles under one state folder."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "sessions"
        self.profiles = profiles.Profiles(state_dir / "profiles")

    def profile(self, name: str | None = None, *, new: bool = False) -> Mapping[str, str]:
        """Return the values of a profile, or of the active one, by variable.

        Raises:
            errors.UsageError: there is no such profile, and `new` does not allow for one.
        """
        return self.profiles.values(name, new=new)

    def path(self, profile: str) -> Path:
        """Return the file of a profile's session, whether it is there or not."""
        return self._folder / f"{profiles.valid(profile)}.json"

    def session(self, profile: str) -> Session | None:
        """Return the stored login of a profile; None where there is none.

        Raises:
            errors.NotLoggedInError: the file is damaged.
        """
        path = self.path(profile)
        with files.translated(path):
            try:
                text = path.read_text(encoding="utf-8", errors="replace")
            except FileNotFoundError:
                return None
        try:
            return _session(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise errors.NotLoggedInError(
                f"{path} is damaged and holds no session", hint="medbots login"
            ) from None

    def store(self, profile: str, session: Session) -> Path:
        """Replace the stored login of a profile; return its file.

        Raises:
            errors.StorageError: it cannot be written; the old one stands.
        """
        path = self.path(profile)
        self._close_folder()
        files.write(path, json.dumps(_document(session), indent=2) + "\n")
        return path

    def forget(self, profile: str) -> bool:
        """Delete the stored login of a profile; return whether there was one."""
        path = self.path(profile)
        with files.translated(path):
            there = path.exists()
            path.unlink(missing_ok=True)
        return there

    def lock_file(self, profile: str) -> Path:
        """Return what is locked while a profile's session is renewed."""
        return self._folder / f"{profiles.valid(profile)}.lock"

    def _close_folder(self) -> None:
        files.make_folder(self._folder)
        with files.translated(self._folder):
            self._folder.chmod(0o700)


def _document(session: Session) -> dict[str, Any]:
    end = session.tokens.expires_at
    refresh = session.tokens.refresh
    return {
        "version": 1,
        "baseUrl": session.base_url,
        "user": session.user,
        "project": {"id": session.project.id, "name": session.project.name},
        "accessToken": session.tokens.access.reveal(),
        "refreshToken": refresh.reveal() if refresh else None,
        "expiresAt": end.isoformat() if end else None,
    }


def _session(document: dict[str, Any]) -> Session:
    end, refresh = document["expiresAt"], document["refreshToken"]
    return Session(
        base_url=_str(document["baseUrl"]),
        user=_str(document["user"]),
        project=identity.ProjectRef(
            id=_str(document["project"]["id"]), name=_str(document["project"]["name"])
        ),
        tokens=tokens.Tokens(
            access=secret.Secret(_str(document["accessToken"])),
            refresh=secret.Secret(_str(refresh)) if refresh else None,
            expires_at=datetime.fromisoformat(end) if end else None,
        ),
    )


def _str(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value
