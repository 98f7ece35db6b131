"""Deploying nine bots of 60 kB: first, with nothing to do, with one changed, with all changed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks import command
from benchmarks.figures import Figure

BOTS = 9
CODE_BYTES = 60_000
ROUNDS = 5
NOTHING_REQUESTS = 2
CONSTANT_REQUESTS = 4
"""What may come on top of two requests a bot, however many bots there are."""


def measure(environ: Mapping[str, str]) -> Iterator[Figure]:
    """Yield the figures of each kind of deployment."""
    with tempfile.TemporaryDirectory() as folder:
        project = _Project(Path(folder), environ)
        project.write(range(BOTS), version=0)
        yield _figure("deploy, first", [project.deploy({"create"})])
        idle = [project.deploy(set()) for _ in range(ROUNDS)]
        yield _figure("deploy, nothing to do", idle, NOTHING_REQUESTS)
        one = [project.redeploy(range(1), number) for number in range(1, ROUNDS + 1)]
        yield _figure("deploy, one changed", one, 2 + CONSTANT_REQUESTS)
        every = [project.redeploy(range(BOTS), 100 + number) for number in range(ROUNDS)]
        yield _figure("deploy, all changed", every, 2 * BOTS + CONSTANT_REQUESTS)


class _Project:
    """A folder with a manifest of nine bots, already bundled."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._environ = environ
        bots = "".join(
            f"  bench-{number}:\n    name: Bench Bot {number}\n    source: bench-{number}.js\n"
            for number in range(BOTS)
        )
        self._manifest = folder / "medbots.yaml"
        self._manifest.write_text(f"version: 1\nnamespace: urn:medbots:bench\nbots:\n{bots}")

    def write(self, numbers: range, version: int) -> None:
        """Write the code of some bots, 60 kB each, different in every version."""
        for number in numbers:
            head = (
                "exports.handler = async function handler(medplum, event) {\n"
                f"  return {{ success: true, bot: {number}, version: {version} }};\n"
                "};\n"
            )
            line = "// What a real bundle would hold here is code of the same length.\n"
            body = (head + line * (CODE_BYTES // len(line) + 1))[: CODE_BYTES - 1]
            (self._folder / f"bench-{number}.js").write_text(f"{body}\n;\n")

    def redeploy(self, numbers: range, version: int) -> dict[str, Any]:
        """Change some bots, and deploy."""
        self.write(numbers, version)
        return self.deploy({"update"})

    def deploy(self, actions: set[str]) -> dict[str, Any]:
        """Deploy, and check that it did what is measured."""
        args = ("deploy", "--manifest", str(self._manifest))
        report: dict[str, Any] = command.run(self._environ, *args)
        seen = {one["action"] for one in report["changes"] if one["kind"] == "bot"}
        if not actions <= seen or (not actions and seen != {"unchanged"}):
            raise RuntimeError(f"a deployment did {sorted(seen)} instead of {sorted(actions)}")
        return report


def _figure(what: str, reports: list[dict[str, Any]], most: int | None = None) -> Figure:
    requests = max(report["requests"] for report in reports)
    return Figure(
        what,
        tuple(float(report["durationMs"]) for report in reports),
        requests,
        goal="" if most is None else f"≤ {most} requests",
        met=None if most is None else requests <= most,
    )
