"""The wheel holds all that a user needs who has no Node, and the sdist all that the wheel needs."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

NO_PROGRAM = """\
import sys
from medbots.bundler import process, tools

def refuse(*args, **more):
    raise SystemExit(f"started {args}")

process.run = refuse
tools.node = lambda environ: None
from medbots.__main__ import run
sys.exit(run(sys.argv[1:]))
"""


def build(kind: str, source: Path, target: Path) -> Path:
    """Build one archive with hatchling, as pip does, and return it."""
    if not (ROOT / "local_server" / "dist" / "server.mjs").is_file():
        pytest.skip("nothing is built (cure: make build)")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(target)],
        cwd=source,
        check=True,
        capture_output=True,
    )
    (archive,) = target.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


def installed(wheel: Path, folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run the unpacked wheel's medbots in a folder, where no other program can be started."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")  # noqa: S202 (our own archive)
    (folder / "work").mkdir()
    environ = {key: value for key, value in os.environ.items() if key.startswith("SYSTEM")}
    return subprocess.run(
        [sys.executable, "-c", NO_PROGRAM, *args],
        cwd=folder / "work",
        env={**environ, "PYTHONPATH": str(folder / "site"), "HOME": str(folder), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_wheel_bundles_without_node_or_esbuild(wheel: Path, tmp_path: Path) -> None:
    """In an empty folder the packaged bots are valid, and come out of the wheel as they went in."""
    done = installed(wheel, tmp_path, "bundle", "--out", "out", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    for file in (tmp_path / "work" / "out").glob("*.js"):
        assert file.read_bytes() == (ROOT / "bot_templates" / "dist" / file.name).read_bytes()
    assert len(list((tmp_path / "work" / "out").glob("*.js.map"))) > 0


def test_a_wheel_validates_its_own_manifest(wheel: Path, tmp_path: Path) -> None:
    """Manifest, bundles and the remembered findings are read from the package itself."""
    done = installed(wheel, tmp_path, "validate")
    manifest = tmp_path / "site" / "medbots" / "_assets" / "bot_templates" / "medbots.yaml"
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{manifest}: ")
    assert done.stdout.endswith(": valid\n")


def test_a_wheel_holds_what_ships_and_nothing_else(wheel: Path) -> None:
    """Queries, compose files, local server and licences are in; tests and modules are not."""
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "bot_templates/medbots.yaml",
        "bot_templates/dist/bundles.json",
        "bot_templates/dist/lint.mjs",
        "bot_templates/dist/record-text.js",
        "local_server/dist/server.mjs",
        "sql/queries/upsert_chunks.sql",
        "compose/docker-compose.yml",
        "THIRD_PARTY.txt",
    ):
        assert f"medbots/_assets/{wanted}" in names
    assert [one for one in names if "node_modules" in one or ".test." in one] == []
    assert any(one.endswith("licenses/LICENSE") for one in names)


def test_the_licences_of_bundled_packages_are_told(wheel: Path) -> None:
    """Each npm package whose code is in the local server or the lint is named with its licence."""
    text = zipfile.ZipFile(wheel).read("medbots/_assets/THIRD_PARTY.txt").decode()
    for package in ("acorn ", "@medplum/core ", "@medplum/fhir-router ", "pg "):
        assert f"\n{package}" in text


@pytest.mark.full
def test_an_sdist_builds_the_same_wheel_without_npm(wheel: Path, tmp_path: Path) -> None:
    """The sdist holds what was built, so that its wheel needs no npm."""
    archive = build("sdist", ROOT, tmp_path / "sdist")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    assert not list(source.rglob("node_modules"))
    again = build("wheel", source, tmp_path / "again")
    assert not list(source.rglob("node_modules"))
    held = sorted(zipfile.ZipFile(wheel).namelist())
    assert sorted(zipfile.ZipFile(again).namelist()) == held
