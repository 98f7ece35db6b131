"""Check results, as a table and as the contract's JSON."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from medbots import check, secret
from medbots.cli import options, render

_WORDS = {"pass": "passed", "warn": "warned", "fail": "failed", "skip": "skipped"}


def report(opts: options.Options, seen: check.Report) -> None:
    """Print what a run saw; in text, what is wrong comes last and in full."""
    if opts.json:
        render.json(document(seen))
        return
    quiet = (check.Status.PASS, check.Status.SKIP)
    rows = [
        (one.status.value, one.id, secret.redact(one.reason or one.observed))
        for one in seen.results
        if one.status in quiet
    ]
    if rows:
        render.table(opts, ("status", "check", "observed"), rows)
    for status in (check.Status.WARN, check.Status.FAIL):
        for one in seen.results:
            if one.status is status:
                for line in _in_full(one):
                    render.line(line)
                render.line()
    render.line(_summary(seen))


def document(seen: check.Report) -> dict[str, Any]:
    """Return the contract's JSON."""
    return {
        "ok": seen.ok,
        "checks": [_result(one) for one in seen.results],
        "summary": seen.summary,
        "durationMs": seen.duration_ms,
    }


def _result(one: check.Result) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": one.id,
        "status": one.status.value,
        "severity": one.severity.value,
        "observed": secret.redact(one.observed),
        "expected": secret.redact(one.expected),
        "fix": secret.redact(one.fix),
        "durationMs": one.duration_ms,
    }
    if one.status is check.Status.SKIP:
        shown["reason"] = secret.redact(one.reason)
    return shown


def _in_full(one: check.Result) -> Iterator[str]:
    yield f"{one.status.value}  {one.id}"
    for name, text in (("observed", one.observed), ("expected", one.expected), ("fix", one.fix)):
        if text:
            first, *rest = secret.redact(text).splitlines()
            yield f"      {name:<8}  {first}"
            yield from (f"                {line}" for line in rest)


def _summary(seen: check.Report) -> str:
    counts = ", ".join(f"{count} {_WORDS[name]}" for name, count in seen.summary.items() if count)
    verdict = "ok" if seen.ok else "not ok"
    return f"{verdict}: {counts or 'no checks'} in {seen.duration_ms / 1000:.1f} s"


class Narrator:
    """Tells on stderr how a run gets on: a bar on a terminal, a line for each repetition."""

    def __init__(self, opts: options.Options) -> None:
        self._opts = opts
        self._bar = contextlib.ExitStack()
        self._advance: render.Advance | None = None

    def started(self, total: int) -> None:
        """Show the bar."""
        self._advance = self._bar.enter_context(render.progress(self._opts, "checks", total))

    def looked(self, _: check.Result) -> None:
        """Move the bar on."""
        if self._advance:
            self._advance()

    def ended(self, report: check.Report, *, again: bool) -> None:
        """Take the bar away; say what is still missing when the run is repeated."""
        self._bar.close()
        if again:
            bad = (check.Status.FAIL, check.Status.WARN)
            missing = ", ".join(one.id for one in report.results if one.status in bad)
            render.note(f"not yet: {missing}; looking again")


def listing(opts: options.Options, checks: Sequence[check.Check]) -> None:
    """Print the ids, what they mean, and how bad it is when they do not pass."""
    if opts.json:
        render.json(
            {
                "checks": [
                    {"id": one.id, "title": one.title, "severity": one.severity.value}
                    for one in checks
                ]
            }
        )
        return
    rows = [(one.id, one.severity.value, one.title) for one in checks]
    render.table(opts, ("check", "severity", "what it says"), rows)
