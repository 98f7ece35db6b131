"""TypeScript to one CommonJS file that is the same, byte for byte, on any machine."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from medbots import errors
from medbots.bundler import process, shape, tools

TARGET = "node20"
"""The oldest Node that a Medplum server runs on."""

FOOTER = "Object.assign(exports, module.exports);"
"""The server reads `exports.handler`; esbuild writes to a new `module.exports`."""

_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Output:
    """What esbuild made of one source."""

    code: bytes
    source_map: bytes
    inputs: tuple[str, ...]
    """Every file that went into it, as `path` names them."""
    version: str
    """Of esbuild."""


def argv(program: Path, entry: str, sql: Path, folder: Path) -> list[str]:
    """Return the command line that bundles `entry`, a path relative to the working folder.

    Into `folder` go bundle.js, bundle.js.map and meta.json, the list of what went into it.
    """
    return [
        str(program),
        entry,
        *options(),
        f"--alias:@sql={sql.as_posix()}",
        f"--outfile={folder / 'bundle.js'}",
        f"--metafile={folder / 'meta.json'}",
    ]


def options() -> list[str]:
    """Return the options that shape the code, free of this machine's paths."""
    return [
        "--bundle",
        "--format=cjs",
        "--platform=node",
        f"--target={TARGET}",
        "--charset=utf8",
        "--legal-comments=inline",
        "--loader:.sql=text",
        *(f"--external:{module}" for module in shape.MODULES),
        f"--footer:js={FOOTER}",
        "--sourcemap=external",
        "--sources-content=true",
        "--log-level=warning",
        "--color=false",
    ]


def build(program: Path, root: Path, source: Path, sql: Path, environ: Mapping[str, str]) -> Output:
    """Bundle one source.

    Args:
        program: esbuild.
        root: the bot project's folder.
        source: the entry file, below `root`.
        sql: the folder that `@sql/…` means.
        environ: the environment of the run.

    Raises:
        errors.BundleError: esbuild refused the source, or it reaches outside the project.
    """
    root, sql = root.resolve(), sql.resolve()
    entry = source.resolve().relative_to(root).as_posix()
    with tempfile.TemporaryDirectory(prefix="medbots-") as name:
        folder = Path(name).resolve()
        command = argv(program, f"./{entry}", sql, folder)
        done = process.run(command, folder=root, seconds=_SECONDS, environ=environ)
        if done.code:
            said = done.stderr.strip() or f"esbuild ended with {done.code}"
            raise errors.BundleError(f"{entry} cannot be bundled:\n{said}")
        inputs = json.loads((folder / "meta.json").read_bytes())["inputs"]
        text = (folder / "bundle.js").read_bytes().decode("utf-8")
        source_map = json.loads((folder / "bundle.js.map").read_bytes())
    names = {path: canonical(root / path, root, sql) for path in inputs}
    sources = [canonical(folder / path, root, sql) for path in source_map["sources"]]
    return Output(
        _renamed(text, names).encode(),
        _json_line({**source_map, "sources": sources}),
        tuple(sorted(set(names.values()))),
        _version(program, root, environ),
    )


def canonical(path: Path, root: Path, sql: Path) -> str:
    """Return a name for an input that is the same on any machine.

    Below the project it is the relative path; a query is `@sql/<name>`; a module that npm has put
    into a folder above begins with `node_modules/`.

    Raises:
        errors.BundleError: the file is somewhere else.
    """
    file = Path(os.path.normpath(path))
    for folder, prefix in ((root, ""), (sql, "@sql/")):
        if file.is_relative_to(folder):
            return prefix + file.relative_to(folder).as_posix()
    parts = PurePosixPath(file.as_posix()).parts
    if "node_modules" in parts:
        return "/".join(parts[parts.index("node_modules") :])
    raise errors.BundleError(f"{file} lies outside the bot project {root}")


def digest_of_options() -> str:
    """Return a digest of everything here that shapes a bundle."""
    return hashlib.sha256("\n".join(options()).encode()).hexdigest()


def _renamed(text: str, names: Mapping[str, str]) -> str:
    """Put canonical names where esbuild writes an input's path: comments and module wrappers."""
    for path, name in names.items():
        if path != name:
            quoted = re.escape(path)
            text = re.sub(rf"^( *)// {quoted}$", rf"\g<1>// {name}", text, flags=re.MULTILINE)
            text = re.sub(rf'^( *)"{quoted}"\(', rf'\g<1>"{name}"(', text, flags=re.MULTILINE)
    return text


def _json_line(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _version(program: Path, root: Path, environ: Mapping[str, str]) -> str:
    own = tools.esbuild_version(root)
    if own is not None and program.is_relative_to(root):
        return own
    done = process.run([str(program), "--version"], folder=root, seconds=_SECONDS, environ=environ)
    return done.stdout.decode("utf-8", "replace").strip()
