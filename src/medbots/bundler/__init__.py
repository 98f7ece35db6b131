"""TypeScript to one CommonJS file a bot, and the lint of what fails only on the server."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from medbots import assets, errors, model
from medbots.bundler import esbuild, linting, project, tools
from medbots.bundler.linting import Finding, Severity

__all__ = [
    "Built",
    "Finding",
    "Severity",
    "bundle",
    "bundle_all",
    "examine",
    "lint",
    "program",
    "refusal",
    "write",
]

_AS_IT_IS = (".js", ".cjs")


@dataclass(frozen=True, slots=True)
class Built:
    """What became of one bot's source."""

    spec: model.BotSpec
    bundle: model.Bundle | None = None
    """None: it cannot be bundled, as `error` says."""
    error: errors.BundleError | None = None
    findings: tuple[Finding, ...] = ()
    reused: bool = False
    """Whether nothing had changed since an earlier run made it."""

    @property
    def refused(self) -> bool:
        """Whether this must not be deployed."""
        return self.error is not None or any(one.refuses for one in self.findings)


def bundle(spec: model.BotSpec, *, environ: Mapping[str, str] | None = None) -> model.Bundle:
    """Return the bundle of one bot, linted.

    Raises:
        errors.BundleError: it cannot be made, or would fail on the server.
    """
    return bundle_all((spec,), environ=environ)[spec.key]


def bundle_all(
    specs: Iterable[model.BotSpec], *, environ: Mapping[str, str] | None = None
) -> dict[str, model.Bundle]:
    """Return the bundles of bots by key, linted; what has not changed is taken from `dist`.

    Raises:
        errors.BundleError: with everything that is wrong with any of them.
    """
    built = list(examine(specs, environ=environ))
    if any(one.refused for one in built):
        raise refusal(built)
    return {one.spec.key: one.bundle for one in built if one.bundle is not None}


def examine(
    specs: Iterable[model.BotSpec], *, environ: Mapping[str, str] | None = None
) -> Iterator[Built]:
    """Bundle and lint each bot, and yield what came of it; nothing is raised for a bad bot."""
    env = os.environ if environ is None else environ
    for spec in specs:
        try:
            yield _one(spec, env)
        except errors.BundleError as error:
            yield Built(spec, error=error)


def program(source: Path, *, environ: Mapping[str, str] | None = None) -> tuple[Path, bool]:
    """Return the file of a program that shares the bots' modules, and whether it was there before.

    It runs here and not on the server, whose rules do not bind it: it is not linted.

    Raises:
        errors.BundleError: it cannot be made, or its folder cannot be written.
    """
    env = os.environ if environ is None else environ
    spec = model.BotSpec(key=source.stem, name=source.stem, source=source)
    home = _home(spec)
    known = home.records().get(spec.key)
    ready = home.fresh(spec, known) if known else None
    file, _ = home.files(spec.key)
    if ready is None:
        output = esbuild.build(tools.esbuild(home.root, env), home.root, source, home.sql, env)
        record = home.record(spec, output)
        made = model.Bundle(spec.key, output.code, record.digest, output.source_map)
        home.keep([made], {spec.key: record})
        if not file.is_file() or project.digest(file.read_bytes()) != made.digest:
            raise errors.BundleError(f"{file} cannot be written")
    return file, ready is not None


def is_fresh(spec: model.BotSpec) -> bool:
    """Whether `dist` holds the bundle of a bot's source as it is now, so that nothing is built.

    Raises:
        errors.BundleError: the source belongs to no project.
    """
    if spec.source.suffix in _AS_IT_IS:
        return True
    home = _home(spec)
    known = home.records().get(spec.key)
    return known is not None and home.fresh(spec, known) is not None


def refusal(built: Iterable[Built]) -> errors.BundleError:
    """Return the error that tells everything for which bots are refused."""
    refused = [one for one in built if one.refused]
    said = [line for one in refused for line in _complaints(one)]
    hints = dict.fromkeys(one.error.hint for one in refused if one.error and one.error.hint)
    return errors.BundleError("\n".join(said), hint="\n".join(hints) or None)


def write(built: Iterable[Built], folder: Path) -> dict[str, Path]:
    """Write bundles and source maps into a folder; return the file of each bundle by key.

    Raises:
        errors.MedbotsError: the folder cannot be written.
    """
    files: dict[str, Path] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for one in built:
            if one.bundle is None:
                continue
            files[one.spec.key] = folder / f"{one.spec.key}.js"
            files[one.spec.key].write_bytes(one.bundle.code)
            if one.bundle.source_map is not None:
                (folder / f"{one.spec.key}.js.map").write_bytes(one.bundle.source_map)
    except OSError as error:
        said = error.strerror or str(error)
        raise errors.MedbotsError(f"{folder} cannot be written: {said}") from error
    return files


def lint(bundle: model.Bundle, *, environ: Mapping[str, str] | None = None) -> list[Finding]:
    """Return what would fail on the server with this bundle, the refusals first."""
    env = os.environ if environ is None else environ
    return linting.lint(bundle, env)


def _home(spec: model.BotSpec) -> project.Project:
    return project.of(spec.source, assets.sql() / "queries")


def _one(spec: model.BotSpec, environ: Mapping[str, str]) -> Built:
    if spec.source.suffix in _AS_IT_IS:
        made = _as_it_is(spec)
        return Built(spec, made, findings=tuple(linting.lint(made, environ)))
    home = _home(spec)
    known = home.records().get(spec.key)
    ready = home.fresh(spec, known) if known else None
    if known and ready:
        remembered = linting.from_record(known.lint)
        if remembered is not None:
            return Built(spec, ready, findings=remembered, reused=True)
        made, record = ready, known
    else:
        output = esbuild.build(
            tools.esbuild(home.root, environ), home.root, spec.source, home.sql, environ
        )
        record = home.record(spec, output)
        made = model.Bundle(spec.key, output.code, record.digest, output.source_map)
    findings = linting.lint(made, environ)
    home.keep([made], {spec.key: replace(record, lint=linting.to_record(findings))})
    return Built(spec, made, findings=tuple(findings), reused=ready is not None)


def _as_it_is(spec: model.BotSpec) -> model.Bundle:
    try:
        code = Path(spec.source).read_bytes()
    except OSError as error:
        raise errors.BundleError(f"{spec.source}: {error.strerror}") from error
    return model.Bundle(spec.key, code, project.digest(code))


def _complaints(built: Built) -> Iterator[str]:
    if built.error is not None:
        yield f"{built.spec.key}: {built.error.message}"
    for finding in built.findings:
        if finding.refuses:
            yield str(finding)
