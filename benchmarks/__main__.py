"""Measures, prints a table, and writes the figures to `build/benchmarks.json`."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import medbots
from benchmarks import bots, command, delay, deploy, reconcile, startup, store
from benchmarks.figures import Figure

TARGET = Path(__file__).parent.parent / "build" / "benchmarks.json"
_ROW = "{:<46} {:>5} {:>10} {:>10} {:>9}  {}"

_VERDICTS = {True: "met", False: "MISSED", None: ""}


def main() -> int:
    """Run every benchmark; return 1 when a goal is missed."""
    print(_ROW.format("", "runs", "median ms", "p95 ms", "requests", "goal"))
    figures = []
    for figure in _figures():
        print(_line(figure), flush=True)
        figures.append(figure)
    measured, ratios = store.measure()
    for ratio in ratios:
        print(f"{ratio.what}: {ratio.shown}  {ratio.goal} {_VERDICTS[ratio.met]}")
    document = _document(figures) | {
        "store": {
            "ratios": [ratio.document() for ratio in ratios],
            "figures": measured.document(),
        }
    }
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(json.dumps(document, indent=2) + "\n")
    print(f"\nwritten to {TARGET}, {store.REPORT}")
    verdicts = [figure.met for figure in figures] + [ratio.met for ratio in ratios]
    return int(False in verdicts)


def _figures() -> Iterator[Figure]:
    yield from startup.measure()
    with command.stack() as environ:
        yield from deploy.measure(environ)
    with command.stack() as environ:
        yield from delay.measure(environ)
    with command.stack() as environ:
        yield from reconcile.measure(environ)
    with command.stack() as environ:
        yield from bots.measure(environ)


def _line(figure: Figure) -> str:
    verdict = _VERDICTS[figure.met]
    requests = "" if figure.requests is None else str(figure.requests)
    times = (f"{figure.median:.1f}", f"{figure.p95:.1f}")
    goal = f"{figure.goal} {verdict}".strip()
    return _ROW.format(figure.what, len(figure.milliseconds), *times, requests, goal).rstrip()


def _document(figures: list[Figure]) -> dict[str, object]:
    return {
        "medbots": medbots.__version__,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpus": os.cpu_count(),
            "load": os.getloadavg()[0],
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "figures": [figure.document() for figure in figures],
    }


if __name__ == "__main__":
    sys.exit(main())
