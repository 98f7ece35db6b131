"""What was bundled before is used again, exactly while nothing that went into it has changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medbots import bundler
from medbots.bundler import esbuild, linting, process, tools
from tests.support import bot_project

SOURCES = {
    "src/bot.ts": (
        "import { one } from './one.ts';\nimport query from '@sql/resource_lock.sql';\n"
        "export const handler = async (): Promise<unknown> => [one, query];\n"
    ),
    "src/one.ts": "export const one = 1;\n",
    "src/unused.ts": "export const two = 2;\n",
    "package.json": "{}",
    "package-lock.json": '{"lockfileVersion": 3}',
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project that was bundled once."""
    made = bot_project.make(tmp_path, SOURCES)
    first = bot_project.examined(made)
    assert (first.error, first.reused) == (None, False)
    return made


@pytest.fixture
def no_programs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, no program can be run on this machine."""
    assert folder.is_dir()

    def refuse(*args: object, **more: object) -> None:
        raise AssertionError(args)

    monkeypatch.setattr(process, "run", refuse)
    monkeypatch.setattr(tools, "node", lambda environ: None)


@pytest.mark.usefixtures("no_programs")
def test_nothing_is_run_when_nothing_has_changed(folder: Path) -> None:
    """Neither esbuild nor Node is needed, and the findings of the lint are remembered."""
    (again,) = bundler.examine([bot_project.spec(folder)], environ={"PATH": ""})
    assert (again.reused, again.error, again.findings) == (True, None, ())
    assert bundler.is_fresh(bot_project.spec(folder))


@pytest.mark.parametrize(
    "changed", ["src/bot.ts", "src/one.ts", "package.json", "package-lock.json", "dist/bot.js"]
)
def test_a_changed_input_is_bundled_again(folder: Path, changed: str) -> None:
    """Sources, settings and the bundle itself are compared by content."""
    file = folder / changed
    file.write_text(file.read_text() + "\n")
    assert not bundler.is_fresh(bot_project.spec(folder))
    assert bot_project.examined(folder).reused is False
    assert bot_project.examined(folder).reused is True


@pytest.mark.parametrize("gone", ["src/one.ts", "dist/bot.js", "dist/bot.js.map"])
def test_a_missing_file_is_no_match(folder: Path, gone: str) -> None:
    """A file that is gone counts as changed."""
    (folder / gone).unlink()
    assert not bundler.is_fresh(bot_project.spec(folder))


def test_a_new_setting_is_bundled_again(folder: Path) -> None:
    """A tsconfig.json that was not there before may change the bundle."""
    (folder / "tsconfig.json").write_text("{}")
    assert not bundler.is_fresh(bot_project.spec(folder))


def test_a_file_that_is_no_input_does_not_matter(folder: Path) -> None:
    """Only what went into the bundle counts."""
    (folder / "src/unused.ts").write_text("export const two = 3;\n")
    assert bundler.is_fresh(bot_project.spec(folder))


def test_another_source_under_the_same_key_is_bundled(folder: Path) -> None:
    """The record belongs to the source, not to the key."""
    assert not bundler.is_fresh(bot_project.spec(folder, "src/one.ts"))


def test_another_esbuild_in_the_project_bundles_again(folder: Path) -> None:
    """The version that the project has installed now must be the one that made the bundle."""
    package = folder / "node_modules" / "esbuild" / "package.json"
    package.parent.mkdir(parents=True)
    package.write_text('{"version": "0.0.1"}')
    assert not bundler.is_fresh(bot_project.spec(folder))


def test_other_options_bundle_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new medbots that calls esbuild otherwise does not take an old bundle."""
    monkeypatch.setattr(esbuild, "TARGET", "node22")
    assert not bundler.is_fresh(bot_project.spec(folder))


def test_another_lint_judges_the_old_bundle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle that an older lint passed is kept, and judged by this one."""
    monkeypatch.setattr(linting, "linter", lambda: "another")
    judged: list[str] = []
    monkeypatch.setattr(linting, "lint", lambda bundle, environ: judged.append(bundle.key) or [])
    (again,) = bundler.examine([bot_project.spec(folder)], environ={})
    assert (again.reused, judged) == (True, ["bot"])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}', '{"format": 1, "bundles": 3}'])
def test_a_damaged_record_is_made_anew(folder: Path, text: str) -> None:
    """Whatever stands in bundles.json, the next run mends it."""
    (folder / "dist" / "bundles.json").write_text(text)
    assert bot_project.examined(folder).reused is False
    assert list(json.loads((folder / "dist/bundles.json").read_text())["bundles"]) == ["bot"]


def test_a_record_holds_digests_and_no_paths_of_this_machine(folder: Path) -> None:
    """bundles.json ships in the wheel: it names inputs as they are named everywhere."""
    text = (folder / "dist" / "bundles.json").read_text()
    record = json.loads(text)["bundles"]["bot"]
    assert sorted(record["inputs"]) == [
        "@sql/resource_lock.sql",
        "package-lock.json",
        "package.json",
        "src/bot.ts",
        "src/one.ts",
    ]
    assert str(folder) not in text


def test_a_folder_that_cannot_be_written_still_gives_bundles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installed package may be read-only: the bundle is made in memory."""
    folder = bot_project.make(tmp_path, SOURCES)
    (folder / "dist").write_text("a file where the folder should be")
    built = bot_project.examined(folder)
    assert (built.error, built.reused) == (None, False)
    assert built.bundle is not None


def test_a_source_without_project_is_said(tmp_path: Path) -> None:
    """There is no folder to remember it in, and no root for its paths."""
    (tmp_path / "bot.ts").write_text(bot_project.HANDLER)
    error = bot_project.examined(tmp_path, "bot.ts").error
    assert error is not None
    assert "no folder above it holds medbots.yaml or package.json" in error.message
