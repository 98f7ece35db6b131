"""Bundling: one deterministic CommonJS file, and what happens when that cannot be."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from medbots import assets, bundler, errors, manifest, model, nodejs
from medbots.bundler import esbuild, shape, tools
from tests.support import bot_project

SOURCES = {
    "src/bot.ts": (
        "import { Client } from 'pg';\n"
        "import query from '@sql/resource_lock.sql';\n"
        "import { twice } from './lib/twice.ts';\n"
        "import { left } from 'left';\n"
        "export async function handler(): Promise<unknown> {\n"
        "  return [Client.name, query, twice(2), left('ä')];\n"
        "}\n"
    ),
    "src/lib/twice.ts": "export const twice = (n: number): number => n * 2;\n",
    "node_modules/left/package.json": '{"name": "left", "version": "1.0.0", "main": "index.js"}',
    "node_modules/left/index.js": "exports.left = (text) => text + ' left';\n",
}


def test_the_command_line_is_data(tmp_path: Path) -> None:
    """What esbuild is called with can be read, and holds every module of the server."""
    argv = esbuild.argv(tmp_path / "esbuild", "./src/bot.ts", Path("/sql"), tmp_path)
    assert argv[:2] == [str(tmp_path / "esbuild"), "./src/bot.ts"]
    assert [one for one in argv if one.startswith("--external:")] == [
        f"--external:{module}" for module in shape.MODULES
    ]
    assert set(argv) >= {
        "--bundle",
        "--format=cjs",
        "--platform=node",
        "--target=node20",
        "--loader:.sql=text",
        "--alias:@sql=/sql",
        "--footer:js=Object.assign(exports, module.exports);",
        "--sourcemap=external",
    }


def test_a_bundle_is_one_commonjs_file_with_footer(tmp_path: Path) -> None:
    """Own modules, npm modules and queries are in it; the server's modules are required."""
    built = bot_project.examined(bot_project.make(tmp_path, SOURCES))
    assert built.error is None
    assert built.findings == ()
    assert built.bundle is not None
    code = built.bundle.code.decode()
    assert code.endswith("\nObject.assign(exports, module.exports);\n")
    assert re.findall(r'[^_]require\("([^"]+)"\)', code) == ["pg"]
    assert "pg_advisory_xact_lock" in code
    assert "' left'" in code or '" left"' in code
    assert built.bundle.digest == f"sha256:{hashlib.sha256(built.bundle.code).hexdigest()}"
    assert "sourceMappingURL" not in code


def test_bytes_are_the_same_in_any_folder(tmp_path: Path) -> None:
    """Neither the folder of the project nor that of this checkout shows in code or source map."""
    near = bot_project.make(tmp_path / "near", SOURCES)
    deep = bot_project.make(tmp_path / "much" / "deeper folder" / "bots", SOURCES)
    first, second = bot_project.examined(near).bundle, bot_project.examined(deep).bundle
    assert first is not None
    assert second is not None
    assert (first.code, first.source_map) == (second.code, second.source_map)
    text = first.code + (first.source_map or b"")
    assert [word for word in (str(tmp_path), str(assets.root())) if word.encode() in text] == []
    assert b"// ../" not in first.code
    assert json.loads(first.source_map or b"")["sources"] == [
        "node_modules/left/index.js",
        "src/bot.ts",
        "@sql/resource_lock.sql",
        "src/lib/twice.ts",
    ]


def test_code_is_the_same_wherever_npm_puts_a_module(tmp_path: Path) -> None:
    """A module in node_modules of a folder above is named as one in the project's own."""
    own = {name: text for name, text in SOURCES.items() if not name.startswith("node_modules")}
    near = bot_project.make(tmp_path / "near", SOURCES)
    hoisted = bot_project.make(tmp_path / "work" / "space" / "bots", own)
    bot_project.make(tmp_path / "work", {name: SOURCES[name] for name in SOURCES.keys() - own})
    first, second = bot_project.examined(near).bundle, bot_project.examined(hoisted).bundle
    assert first is not None
    assert second is not None
    assert b'"node_modules/left/index.js"(' in first.code
    assert first.code == second.code


def test_a_link_to_the_project_changes_nothing(tmp_path: Path) -> None:
    """A project that is reached by a symbolic link gives the same bytes."""
    real = bot_project.make(tmp_path / "real", SOURCES)
    (tmp_path / "link").symlink_to(real, target_is_directory=True)
    straight = bot_project.examined(real).bundle
    (real / "dist" / "bundles.json").unlink()
    linked = bot_project.examined(tmp_path / "link").bundle
    assert straight == linked


def test_a_source_outside_the_project_is_refused(tmp_path: Path) -> None:
    """What lies beside the project would be missing on another machine."""
    folder = bot_project.make(
        tmp_path / "bots", {"src/bot.ts": "export { handler } from '../../other.ts';"}
    )
    (tmp_path / "other.ts").write_text(bot_project.HANDLER)
    error = bot_project.examined(folder).error
    assert error is not None
    assert f"{tmp_path / 'other.ts'} lies outside the bot project" in error.message


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("export const handler = (;", 'Unexpected ";"'),
        ("import x from 'openai'; export const handler = () => x;", 'Could not resolve "openai"'),
        ("export { handler } from './gone.ts';", 'Could not resolve "./gone.ts"'),
    ],
)
def test_a_source_that_esbuild_refuses_is_told_with_its_line(
    tmp_path: Path, source: str, said: str
) -> None:
    """The words of esbuild reach the user, with file and line."""
    built = bot_project.examined(bot_project.make(tmp_path, {"src/bot.ts": source}))
    assert built.refused
    assert built.error is not None
    assert said in built.error.message
    assert "src/bot.ts:1:" in built.error.message


def test_a_javascript_source_is_taken_as_it_is(tmp_path: Path) -> None:
    """A .js file is deployed byte for byte, and linted all the same."""
    code = "exports.handler = async () => 1;\n"
    built = bot_project.examined(bot_project.make(tmp_path, {"bot.js": code}), "bot.js")
    assert built.bundle is not None
    assert (built.bundle.code, built.bundle.source_map) == (code.encode(), None)
    bad = bot_project.make(tmp_path / "bad", {"bot.js": "console.error(1);\n"})
    assert bot_project.examined(bad, "bot.js").refused


def test_all_refusals_are_told_at_once(tmp_path: Path) -> None:
    """bundle_all raises one error for every bot, with the exit code of an invalid bundle."""
    folder = bot_project.make(
        tmp_path, {"src/a.ts": "export const handler = (;", "src/b.ts": "console.error(1);"}
    )
    specs = [
        model.BotSpec("a", "A", folder / "src/a.ts"),
        model.BotSpec("b", "B", folder / "src/b.ts"),
    ]
    with pytest.raises(errors.BundleError) as caught:
        bundler.bundle_all(specs, environ=bot_project.environment())
    assert "a: src/a.ts cannot be bundled" in caught.value.message
    assert "b: src/b.ts:1:1: console.error does not exist" in caught.value.message
    assert caught.value.exit_code == 65


def test_one_bot_is_bundled_alone(tmp_path: Path) -> None:
    """One bot alone gives what it gives among others."""
    folder = bot_project.make(tmp_path, {"src/bot.ts": bot_project.HANDLER})
    environ = bot_project.environment()
    spec = bot_project.spec(folder)
    assert (
        bundler.bundle(spec, environ=environ) == bundler.bundle_all([spec], environ=environ)["bot"]
    )


def test_the_shipped_bots_are_accepted() -> None:
    """Every bot of the packaged manifest bundles and passes the lint."""
    specs = manifest.load(assets.bot_templates() / "medbots.yaml").bots
    built = list(bundler.examine(specs, environ=bot_project.environment()))
    assert {one.spec.key: (one.error, one.findings) for one in built} == {
        spec.key: (None, ()) for spec in specs
    }


def test_the_bundler_needs_only_the_standard_library() -> None:
    """The package build uses it before anything is installed."""
    script = (
        "import sys; import medbots.bundler;"
        "print([n for n in ('yaml', 'typer', 'httpx', 'rich', 'psycopg') if n in sys.modules])"
    )
    source = str(Path(bundler.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_bundles_are_written_where_asked(tmp_path: Path) -> None:
    """Code and source map go beside each other; a folder that cannot be made is one clear error."""
    folder = bot_project.make(tmp_path / "bots", {"src/bot.ts": bot_project.HANDLER})
    built = bot_project.examined(folder)
    assert bundler.write([built], tmp_path / "out" / "deep") == {
        "bot": tmp_path / "out" / "deep" / "bot.js"
    }
    assert built.bundle is not None
    assert (tmp_path / "out/deep/bot.js").read_bytes() == built.bundle.code
    assert (tmp_path / "out/deep/bot.js.map").read_bytes() == built.bundle.source_map
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.MedbotsError, match="cannot be written"):
        bundler.write([built], tmp_path / "file" / "out")


def test_a_named_esbuild_that_is_no_file_is_said(tmp_path: Path) -> None:
    """MEDBOTS_ESBUILD is taken at its word, never silently replaced."""
    with pytest.raises(errors.BundleError, match="MEDBOTS_ESBUILD names /none, which is no file"):
        tools.esbuild(tmp_path, {tools.ESBUILD: "/none"})


def test_without_any_esbuild_the_cures_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed source needs esbuild: the error says the three ways to get it."""
    monkeypatch.setattr(nodejs, "npm", lambda: None)
    with pytest.raises(errors.BundleError, match="there is no esbuild to bundle it") as caught:
        tools.esbuild(tmp_path, {"PATH": ""})
    hint = caught.value.hint or ""
    assert [one in hint for one in ("npm ci", "medbots[node]", "MEDBOTS_ESBUILD")] == [True] * 3


def test_in_a_checkout_that_is_not_built_the_cure_is_to_build_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before `make build` nobody has changed a source: the error does not say so."""
    monkeypatch.setattr(nodejs, "npm", lambda: None)
    monkeypatch.setattr(assets, "bot_templates", lambda: tmp_path)
    with pytest.raises(errors.BundleError, match="this checkout is not built yet") as caught:
        tools.esbuild(tmp_path, {"PATH": ""})
    assert (caught.value.hint or "").startswith("make build\n")
    (tmp_path / "dist").mkdir()
    with pytest.raises(errors.BundleError, match="a bot's source was changed") as caught:
        tools.esbuild(tmp_path, {"PATH": ""})
    assert "make build" not in (caught.value.hint or "")


def test_npm_installs_the_project_where_the_extra_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With medbots[node] and a lock, `npm ci` brings the project's own esbuild."""
    (tmp_path / "package-lock.json").write_text("{}")
    installed: list[Path] = []

    def install(root: Path, environ: object) -> None:
        installed.append(root)
        program = tools.esbuild(assets.bot_templates(), {"PATH": ""})
        place = root / program.relative_to(assets.bot_templates())
        place.parent.mkdir(parents=True)
        place.write_text("")

    monkeypatch.setattr(nodejs, "npm", lambda: ["node", "npm-cli.js"])
    monkeypatch.setattr(tools, "install", install)
    found = tools.esbuild(tmp_path, {"PATH": ""})
    assert (installed, found.is_relative_to(tmp_path)) == ([tmp_path], True)
