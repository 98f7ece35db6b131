"""A change of the database while it runs: its statements, and bars of its index builds."""

from __future__ import annotations

import json
import sys
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from medbots.cli import options, render, store
from medbots.database import watch

if TYPE_CHECKING:
    from medbots import config
    from medbots.database.connection import Connection


class Watcher(watch.Watch):
    """Tells statements and progress on stderr: to a person, or as JSON lines to a program."""

    def __init__(
        self,
        opts: options.Options,
        settings: config.Settings,
        script: list[str] | None = None,
        *,
        quiet: bool = False,
    ) -> None:
        """Watch a run.

        Args:
            opts: the global options.
            settings: name the database, for the look at builds.
            script: takes the statements of a dry run; None: this is none.
            quiet: tell statements only with --verbose, and of builds as ever.
        """
        self.dry_run = script is not None
        self._opts = opts
        self._settings = settings
        self._script = script
        self._quiet = quiet and not opts.verbose
        self._gauge = render.Gauge(opts)
        self._told: watch.Progress | None = None

    def __enter__(self) -> Self:
        """Return this watcher."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Take a bar away that is still there."""
        self._gauge.close()

    def statement(self, label: str, text: str, summary: str = "") -> None:
        """Tell SQL that is about to run, or keep what would run.

        A migration is told by what it is for, unless --verbose asks for its text.
        """
        if self._script is not None:
            self._script.append(f"-- {label}\n{text}")
        elif self._quiet:
            return
        elif self._opts.json:
            self._event({"event": "statement", "what": label})
        else:
            self._gauge.close()
            render.note(f"{label}: {text if self._opts.verbose or not summary else summary}")

    def progress(self, found: watch.Progress) -> None:
        """Move the bar, or print a line, where anything has changed."""
        if found == self._told:
            return
        self._told = found
        if self._opts.json:
            shown = {"what": found.what, "phase": found.phase}
            self._event({"event": "progress"} | shown | {"done": found.done, "total": found.total})
        elif found.phase == watch.DONE:
            self._gauge.close()
        else:
            self._gauge.show(_short(found), found.done, found.total)

    def waiting(self, reason: str) -> None:
        """Say for what is waited."""
        if self._opts.json:
            self._event({"event": "waiting", "what": reason})
        else:
            render.note(reason)

    def second(self) -> AbstractAsyncContextManager[Connection] | None:
        """Return a connection for looking at builds, where somebody looks."""
        return store.connected(self._settings) if self._opts.json or self._gauge.visible else None

    def _event(self, event: dict[str, Any]) -> None:
        sys.stderr.write(json.dumps(event) + "\n")
        sys.stderr.flush()


def _short(found: watch.Progress) -> str:
    """Return what is done, on less than half a line: `NAME: waiting for writers`."""
    phase = found.phase.rpartition(": ")[2].partition(" before ")[0]
    return f"{found.what.removeprefix('index ')}: {phase}"
