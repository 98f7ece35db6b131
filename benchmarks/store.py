"""The embedding store beside the deployment guide's, on a Postgres of its own."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from medbots.bench import data, figures, ratios, report, run
from medbots.local import postgres

ROWS = 20_000
_SETTINGS = {"shared_buffers": "1GB"}
"""Both sides whole: a table beyond a quarter of the buffers is read anew by each exact search."""
REPORT = Path(__file__).parent.parent / "build" / "store.html"


def measure(rows: int = ROWS) -> tuple[figures.Measured, tuple[ratios.Ratio, ...]]:
    """Measure, and write the report with its plots; the same core as `medbots db bench`."""
    with tempfile.TemporaryDirectory(prefix="medbots-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # the account that runs Postgres for root passes through
        embedded = postgres.EmbeddedPostgres(Path(folder) / "postgres", settings=_SETTINGS)
        try:
            embedded.start()
            ground = run.Ground(embedded.url, "the benchmark's own Postgres")
            found = asyncio.run(run.measure(ground, data.Corpus(rows), _say))
        finally:
            embedded.remove()
    judged = ratios.judge(found)
    REPORT.parent.mkdir(exist_ok=True)
    report.write(REPORT, found, judged)
    return found, judged


def _say(what: str) -> None:
    sys.stderr.write(f"  store: {what}\n")
