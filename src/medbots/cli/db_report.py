"""What a verb that changes the store has done so far: printable at any time, also on failure."""

from __future__ import annotations

import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from medbots import errors
from medbots.cli import interruption, options, render_db, wiring

if TYPE_CHECKING:
    from medbots import state
    from medbots.database import schema

_AGAIN = "run it again: it completes what is missing, and does nothing twice"
"""What helps after an interruption, whichever verb it was."""


@dataclass(slots=True)
class Report:
    """What is known of a run so far."""

    dry_run: bool = False
    project: state.Project | None = None
    database: str = ""
    """Host, port and name."""
    steps: list[schema.Step] = field(default_factory=list)
    script: list[str] = field(default_factory=list)
    """Of a dry run: the SQL that would run, in order."""
    outcome: str = ""
    """The last line, where it is not that the store is as it should be."""
    requests: int = 0
    duration_ms: int = 0

    @property
    def changed(self) -> bool:
        """Whether any step did, or would do, anything."""
        return any(render_db.changed(step) for step in self.steps)


async def timed(report: Report, started: float, running: Coroutine[None, None, None]) -> None:
    """Run to the end, and note how long it took since `started` (`time.perf_counter`)."""
    try:
        await running
    finally:
        report.duration_ms = round((time.perf_counter() - started) * 1000)


def reported(opts: options.Options, report: Report, running: Coroutine[None, None, None]) -> None:
    """Run to the end and print the report; on failure print it where something was done.

    Raises:
        errors.PartlyAppliedError: some steps were done, one failed; the next run completes them.
        errors.MedbotsError: the failure, where nothing was done.
    """
    try:
        with interruption.by_termination():
            wiring.run(running)
    except errors.MedbotsError as error:
        if isinstance(error, errors.InterruptedByUserError) and not report.dry_run:
            error.hint = _AGAIN
        if report.dry_run or not report.changed:
            raise
        end = error
        if not isinstance(error, errors.InterruptedByUserError):
            end = errors.PartlyAppliedError(error.message, hint=error.hint)
        render_db.done(opts, report, end)
        end.reported = opts.json
        raise end from error
    render_db.done(opts, report)
