"""The folder that a bot's source belongs to, and the bundles that were made in it before."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from medbots import errors, model
from medbots.bundler import esbuild, tools

_MARKS = ("medbots.yaml", "package.json")
_SETTINGS = ("package-lock.json", "package.json", "tsconfig.json")
"""Files that shape a bundle without being part of it."""
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of a bundle in `dist`."""

    source: str
    digest: str
    """Of the bundle."""
    esbuild: str
    """Its version."""
    options: str
    """Digest of the options."""
    inputs: Mapping[str, str]
    """Name and digest of every file that went into it, but for node_modules."""
    lint: Mapping[str, Any] = field(default_factory=dict)
    """The `linter` that judged it, and its `findings`."""


@dataclass(frozen=True, slots=True)
class Project:
    """A folder of bot sources, with `dist` for what was bundled."""

    root: Path
    sql: Path
    """The folder that `@sql/…` means."""

    @property
    def dist(self) -> Path:
        """The folder of bundles."""
        return self.root / "dist"

    def files(self, key: str) -> tuple[Path, Path]:
        """Return the files of a bundle and of its source map."""
        return self.dist / f"{key}.js", self.dist / f"{key}.js.map"

    def records(self) -> dict[str, Record]:
        """Return what is remembered by key; nothing where it cannot be read."""
        try:
            document = json.loads((self.dist / "bundles.json").read_text(encoding="utf-8"))
            if document["format"] != _FORMAT:
                return {}
            return {key: Record(**entry) for key, entry in document["bundles"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def fresh(self, spec: model.BotSpec, record: Record) -> model.Bundle | None:
        """Return the bundle in `dist` if nothing that went into it has changed since."""
        installed = tools.esbuild_version(self.root)
        if (
            record.source != self._relative(spec.source)
            or record.options != esbuild.digest_of_options()
            or installed not in (None, record.esbuild)
            or any(self._digest(name) != digest for name, digest in record.inputs.items())
            or any(name not in record.inputs for name in self._settings())
        ):
            return None
        code_file, map_file = self.files(spec.key)
        try:
            code, source_map = code_file.read_bytes(), map_file.read_bytes()
        except OSError:
            return None
        if digest(code) != record.digest:
            return None
        return model.Bundle(spec.key, code, record.digest, source_map)

    def record(self, spec: model.BotSpec, output: esbuild.Output) -> Record:
        """Return what to remember of a bundle just made."""
        own = [name for name in output.inputs if not name.startswith("node_modules/")]
        digests = {name: self._digest(name) for name in (*own, *self._settings())}
        return Record(
            source=self._relative(spec.source),
            digest=digest(output.code),
            esbuild=output.version,
            options=esbuild.digest_of_options(),
            inputs={name: one for name, one in sorted(digests.items()) if one is not None},
        )

    def keep(self, bundles: Iterable[model.Bundle], records: Mapping[str, Record]) -> None:
        """Write bundles and what is remembered of them.

        A folder that may not be written, such as that of an installed package, is left alone: the
        bundles are then made again the next time.
        """
        known = self.records() | dict(records)
        entries = {key: asdict(record) for key, record in sorted(known.items())}
        document = {"format": _FORMAT, "bundles": entries}
        try:
            for bundle in bundles:
                code_file, map_file = self.files(bundle.key)
                _write(code_file, bundle.code)
                _write(map_file, bundle.source_map or b"")
            _write(self.dist / "bundles.json", (json.dumps(document, indent=1) + "\n").encode())
        except OSError:
            return

    def _relative(self, source: Path) -> str:
        return source.resolve().relative_to(self.root.resolve()).as_posix()

    def _settings(self) -> Iterator[str]:
        return (name for name in _SETTINGS if (self.root / name).is_file())

    def _digest(self, name: str) -> str | None:
        inside = name.removeprefix("@sql/")
        file = self.root / name if inside == name else self.sql / inside
        try:
            return digest(file.read_bytes())
        except OSError:
            return None


def of(source: Path, sql: Path) -> Project:
    """Return the project of a source: the nearest folder above it with a manifest or package.json.

    Raises:
        errors.BundleError: there is no such folder.
    """
    for folder in source.resolve().parents:
        if any((folder / mark).is_file() for mark in _MARKS):
            return Project(folder, sql)
    raise errors.BundleError(f"{source}: no folder above it holds {' or '.join(_MARKS)}")


def digest(content: bytes) -> str:
    """Return `sha256:` and the hex digest."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _write(file: Path, content: bytes) -> None:
    """Replace a file whole or not at all; leave it alone when it holds this already."""
    file.parent.mkdir(exist_ok=True)
    if file.is_file() and file.read_bytes() == content:
        return
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        Path(name).chmod(0o644)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
