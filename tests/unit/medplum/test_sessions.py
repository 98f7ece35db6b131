"""Stored sessions: whole, private, bound to one server."""

from __future__ import annotations

import errno
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pytest

from medbots import errors, secret
from medbots.medplum import identity, sessions, tokens

SESSION = sessions.Session(
    base_url="https://m.example.com/",
    user="ada@example.com",
    project=identity.ProjectRef("p1", "Clinic"),
    tokens=tokens.Tokens(
        secret.Secret("plant-access"),
        secret.Secret("plant-refresh"),
        datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
    ),
)


@pytest.fixture
def store(tmp_path: Path) -> sessions.Sessions:
    """Sessions in a folder that is not there yet."""
    return sessions.Sessions(tmp_path / "state")


def test_store_and_read(store: sessions.Sessions) -> None:
    """What was stored is read, to the last field."""
    store.store("default", SESSION)
    assert store.session("default") == SESSION
    assert store.session("other") is None


def test_session_without_refresh_or_end(store: sessions.Sessions) -> None:
    """A client's session has neither."""
    bare = sessions.Session(
        SESSION.base_url, SESSION.user, SESSION.project, tokens.Tokens(secret.Secret("a"))
    )
    store.store("default", bare)
    assert store.session("default") == bare


def test_files_are_private(store: sessions.Sessions, tmp_path: Path) -> None:
    """The file is 0600 in a 0700 folder, whatever the umask, and also where it was open before."""
    folder = tmp_path / "state" / "sessions"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    before = os.umask(0)
    try:
        file = store.store("default", SESSION)
        file.chmod(0o644)
        store.store("default", SESSION)
    finally:
        os.umask(before)
    assert file == folder / "default.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in folder.iterdir()] == ["default.json"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_full_disk_keeps_the_old_session(
    store: sessions.Sessions, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up is one clear error; the old file is whole, and nothing is left over."""
    file = store.store("default", SESSION)
    old = file.read_bytes()

    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), full)
    newer = sessions.Session(
        SESSION.base_url, "eve@example.com", SESSION.project, tokens.Tokens(secret.Secret("b"))
    )
    with pytest.raises(errors.StorageError, match="no space left on device") as caught:
        store.store("default", newer)
    assert "MEDBOTS_STATE_DIR" in (caught.value.hint or "")
    assert caught.value.exit_code == 1
    assert file.read_bytes() == old
    assert [path.name for path in file.parent.iterdir()] == ["default.json"]


def test_state_folder_that_is_a_file(tmp_path: Path) -> None:
    """Where no folder can be, reading finds nothing it could trust and writing says so."""
    (tmp_path / "file").write_text("")
    store = sessions.Sessions(tmp_path / "file")
    with pytest.raises(errors.StorageError):
        store.store("default", SESSION)
    with pytest.raises(errors.StorageError):
        store.session("default")


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "{}", '{"baseUrl": 1}',
     json.dumps({"baseUrl": "x", "user": "u", "project": {}, "accessToken": "plant"})],
)  # fmt: skip
def test_damaged_session(store: sessions.Sessions, content: str) -> None:
    """A damaged file is named and counts as no login; its content is not shown."""
    store.store("default", SESSION).write_text(content)
    with pytest.raises(errors.NotLoggedInError, match=r"default\.json is damaged") as caught:
        store.session("default")
    assert caught.value.hint == "medbots login"
    assert "plant" not in caught.value.message


def test_forget(store: sessions.Sessions) -> None:
    """A session is deleted once."""
    store.store("default", SESSION)
    assert (store.forget("default"), store.forget("default")) == (True, False)
    assert store.session("default") is None


@pytest.mark.parametrize("name", ["../x", "a/b", ""])
def test_names_stay_in_the_folder(store: sessions.Sessions, name: str) -> None:
    """No profile name leads to another file."""
    with pytest.raises(errors.UsageError):
        store.path(name)
    with pytest.raises(errors.UsageError):
        store.lock_file(name)


def test_session_does_not_show_its_tokens() -> None:
    """The repr holds no token."""
    assert "plant" not in repr(SESSION)
