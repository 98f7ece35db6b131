"""CPU time, user and system, of commands that need no network."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator

from benchmarks import command
from benchmarks.figures import Figure

RUNS = 11
GOAL_MS = 150.0


def measure() -> Iterator[Figure]:
    """Yield the figures of `--help` and `--version`."""
    environ = command.environment({})
    for flag in ("--help", "--version"):
        _cpu(environ, flag)  # compiles and reads the files once
        times = tuple(_cpu(environ, flag) for _ in range(RUNS))
        median = sorted(times)[RUNS // 2]
        yield Figure(f"medbots {flag}, CPU", times, goal="≤ 150 ms", met=median <= GOAL_MS)


def _cpu(environ: dict[str, str], flag: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*command.ARGV, flag], check=True, capture_output=True, env=environ)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    return used * 1000
