"""Bundles, what the lint found in them, and what is wrong with a manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medbots import bundler, errors, manifest
from medbots.cli import error_json, options, render


def judged(opts: options.Options, found: manifest.Manifest, built: Sequence[bundler.Built]) -> None:
    """Print what `validate` saw; in text, what refuses is left to the error that follows."""
    if opts.json:
        render.json(_document(found, built))
        return
    for problem in found.warnings:
        render.line(f"warning: {found.file.name}: {problem}")
    for finding in (one for bot in built for one in bot.findings if not one.refuses):
        render.line(f"warning: {finding}")
    refused = sum(bot.refused for bot in built)
    bots, subscriptions = _count(built, "bot"), _count(found.subscriptions, "subscription")
    verdict = f"{_count(range(refused), 'bot')} refused" if refused else "valid"
    render.line(f"{found.file}: {bots}, {subscriptions}: {verdict}")


def invalid(opts: options.Options, error: errors.ManifestError) -> errors.ManifestError:
    """Print an invalid manifest as JSON if that was asked for; return the error to raise."""
    if opts.json:
        problems = [_problem(one) for one in error.problems]
        summary = {"bots": 0, "refused": 0, "errors": len(problems), "warnings": 0}
        render.json(
            {
                "ok": False,
                "manifest": error.file,
                "problems": problems,
                "warnings": [],
                "bots": [],
                "summary": summary,
                "error": error_json.document(error),
            }
        )
        error.reported = True
    return error


def made(opts: options.Options, built: Sequence[bundler.Built], files: Mapping[str, Path]) -> None:
    """Print the bundles that `bundle` made."""
    if opts.json:
        bundles = [_made(one, files.get(one.spec.key)) for one in built]
        render.json({"bundles": bundles})
        return
    rows = [
        (
            one.spec.key,
            one.bundle.digest.removeprefix("sha256:")[:12],
            f"{len(one.bundle.code):,}",
            "unchanged" if one.reused else "built",
            str(files.get(one.spec.key, "")),
        )
        for one in built
        if one.bundle is not None
    ]
    columns = ("bot", "sha256", "bytes", "", "file")
    render.table(
        opts, columns if files else columns[:-1], [row[: 5 if files else 4] for row in rows]
    )
    for finding in (one for bot in built for one in bot.findings):
        render.note(f"warning: {finding}")


def _count(items: Sequence[Any] | range, noun: str) -> str:
    return f"{len(items)} {noun}{'s' if len(items) != 1 else ''}"


def _document(found: manifest.Manifest, built: Sequence[bundler.Built]) -> dict[str, Any]:
    findings = [finding for bot in built for finding in bot.findings]
    refused_bots = sum(bot.refused for bot in built)
    failed = sum(bot.error is not None for bot in built)
    errors_count = failed + sum(finding.refuses for finding in findings)
    warned = len(found.warnings) + sum(not finding.refuses for finding in findings)
    return {
        "ok": refused_bots == 0,
        "manifest": str(found.file),
        "problems": [],
        "warnings": [_problem(one) for one in found.warnings],
        "bots": [_bot(one) for one in built],
        "summary": {
            "bots": len(built),
            "refused": refused_bots,
            "errors": errors_count,
            "warnings": warned,
        },
    }


def _problem(problem: errors.Problem) -> dict[str, Any]:
    return {"path": problem.path, "line": problem.line, "message": problem.message}


def _bot(built: bundler.Built) -> dict[str, Any]:
    return {
        **_made(built, None),
        "error": built.error.message if built.error else None,
        "findings": [
            {
                "rule": one.rule,
                "severity": one.severity.value,
                "message": one.message,
                "file": one.file,
                "line": one.line,
                "column": one.column,
            }
            for one in built.findings
        ],
    }


def _made(built: bundler.Built, file: Path | None) -> dict[str, Any]:
    made = built.bundle
    shown: dict[str, Any] = {
        "key": built.spec.key,
        "digest": made.digest if made else None,
        "bytes": len(made.code) if made else None,
    }
    return {**shown, "file": str(file)} if file else shown
