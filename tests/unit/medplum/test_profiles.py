"""Profiles: values, names, the one in use, and files that are damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medbots import config, errors
from medbots.medplum import profiles

VALUES = {"MEDPLUM_BASE_URL": "http://127.0.0.1:9001/", "MEDPLUM_PASSWORD": "plant"}


@pytest.fixture
def store(tmp_path: Path) -> profiles.Profiles:
    """Profiles in a folder that is not there yet."""
    return profiles.Profiles(tmp_path / "state" / "profiles")


def test_default_is_always_there(store: profiles.Profiles) -> None:
    """Without a file there is one profile, empty, and asking for it writes nothing."""
    assert (store.names(), store.active) == (["default"], "default")
    assert store.values() == {config.PROFILE: "default"}


def test_write_and_read(store: profiles.Profiles, tmp_path: Path) -> None:
    """What was written is read, with the name, from a file that only its owner can read."""
    file = store.write("local", {**VALUES, config.PROFILE: "other"})
    assert store.values("local") == {**VALUES, config.PROFILE: "local"}
    assert json.loads(file.read_text()) == VALUES
    assert file == tmp_path / "state" / "profiles" / "local.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_active_profile(store: profiles.Profiles) -> None:
    """The one in use is remembered, and forgotten when it is removed."""
    store.write("local", VALUES)
    store.activate("local")
    assert store.values()[config.PROFILE] == "local"
    store.remove("local")
    assert (store.active, store.names()) == ("default", ["default"])


def test_removing_another_keeps_the_active_one(store: profiles.Profiles) -> None:
    """Only the removed profile goes."""
    for name in ("one", "two"):
        store.write(name, VALUES)
    store.activate("one")
    store.remove("two")
    assert (store.active, store.names()) == ("one", ["default", "one"])


@pytest.mark.parametrize("use", ["values", "activate", "remove"])
def test_unknown_profile_names_the_nearest(store: profiles.Profiles, use: str) -> None:
    """A typo is told the name it comes near, and how to make a profile."""
    store.write("hospital", VALUES)
    with pytest.raises(errors.UsageError, match="did you mean 'hospital'") as caught:
        getattr(store, use)("hospitl")
    assert caught.value.exit_code == 64
    assert "login" in (caught.value.hint or "")


def test_unknown_profile_far_from_any(store: profiles.Profiles) -> None:
    """Where nothing is near, nothing is guessed."""
    with pytest.raises(errors.UsageError, match=r"no profile 'xyz'$"):
        store.values("xyz")


def test_new_profile(store: profiles.Profiles) -> None:
    """Who is about to make a profile may name one that is not there."""
    assert store.values("fresh", new=True) == {config.PROFILE: "fresh"}


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a b", "-x", "x" * 65, "x\n", "ä"])
def test_names_that_are_no_names(store: profiles.Profiles, name: str) -> None:
    """A name can never lead out of the folder."""
    with pytest.raises(errors.UsageError, match="cannot name a profile"):
        store.write(name, VALUES)
    with pytest.raises(errors.UsageError):
        store.values(name or "..", new=True)


@pytest.mark.parametrize("content", ["{", "[]", '{"A": 1}', '"x"', ""])
def test_damaged_profile(store: profiles.Profiles, content: str) -> None:
    """A damaged file is named, with the command that removes it; its content is not shown."""
    store.write("local", VALUES).write_text(content)
    with pytest.raises(errors.UsageError, match=r"local\.json is no profile") as caught:
        store.values("local")
    assert caught.value.hint == "medbots profile remove local"
    store.remove("local")


def test_pointer_to_nothing(store: profiles.Profiles) -> None:
    """The active profile was deleted by hand: that is said, not ignored."""
    store.write("local", VALUES)
    store.activate("local")
    store._path("local").unlink()
    with pytest.raises(errors.UsageError, match="no profile 'local'"):
        store.values()


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    """A state folder that cannot be one is a clear error."""
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.StorageError):
        profiles.Profiles(tmp_path / "file" / "profiles").write("x", VALUES)
