"""The only user of rich: stdout is data, stderr is narration."""

from __future__ import annotations

import json as json_module
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from medbots import secret
from medbots.cli import options

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


_UNFOLDED = 100_000


class Advance(Protocol):
    """Moves a progress bar on."""

    def __call__(self, steps: int = 1) -> None:
        """Advance by `steps`."""


def _console(opts: options.Options, *, error: bool = False) -> Console:
    from rich.console import Console

    # Without a system of colours there is no bold and no dim either, which rich would keep.
    plain = opts.no_color or bool(os.environ.get("NO_COLOR"))
    console = Console(stderr=error, color_system=None if plain else "auto", highlight=False)
    if not console.is_terminal:
        # A file or a pipe has no edge at which to fold.
        console.width = _UNFOLDED
    return console


def json(document: Any) -> None:
    """Print one JSON document on stdout, in ASCII: no encoding of a pipe can spoil it."""
    sys.stdout.write(json_module.dumps(document) + "\n")
    sys.stdout.flush()


def pretty(document: Any) -> None:
    """Print one JSON document on stdout as a person reads it."""
    line(visible(json_module.dumps(document, indent=2, ensure_ascii=False)))


_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What a terminal obeys instead of showing it, but for tabs and line ends."""


def visible(text: str) -> str:
    """Return a text of somebody else's as one that a terminal shows and does not obey."""
    return _COMMANDS.sub("\N{REPLACEMENT CHARACTER}", text)


def line(text: str = "") -> None:
    """Print one line of data on stdout."""
    sys.stdout.write(text + "\n")
    # Who reads no longer, or has no space, is heard of here and not when Python ends.
    sys.stdout.flush()


def note(text: str) -> None:
    """Print one line of narration on stderr, free of secrets."""
    sys.stderr.write(secret.redact(text) + "\n")
    sys.stderr.flush()


def table(
    opts: options.Options,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    title: str = "",
) -> None:
    """Print a table on stdout; a cell is plain text, never markup."""
    from rich import box
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    console = _console(opts)
    cells = [[visible(cell) for cell in row] for row in rows]
    shown = Table(
        title=title or None,
        box=box.SIMPLE,
        pad_edge=False,
        title_justify="left",
        show_header=any(columns),
    )
    for column in columns:
        shown.add_column(column, no_wrap=True)
    for row in cells:
        shown.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    unbound = console.options.update(max_width=_UNFOLDED)
    if Measurement.get(console, unbound, shown).maximum <= console.width:
        console.print(shown)
    else:
        _narrow(console, columns, cells, title)


def _narrow(
    console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]], title: str
) -> None:
    from rich.cells import cell_len
    from rich.text import Text

    from medbots.cli import render_narrow

    layout = render_narrow.layout(columns, rows, console.width, cell_len)
    said = [Text(title, style="italic")]
    if any(columns):
        rule = "─" if console.encoding.startswith("utf") else "-"
        said += [Text("".join(line), style="bold") for line in layout.lines(columns)]
        said.append(Text(rule * min(layout.width, console.width)))
    for row in rows:
        for line in layout.lines(row):
            said.append(Text.assemble(*((one, _STYLES.get(one.strip(), "")) for one in line)))
    for one in (*said, Text()):
        # Longer than the terminal is wide may be a single word: that, it copies as a whole.
        console.print(one, soft_wrap=True)


_STYLES = {
    "pass": "green",
    "done": "green",
    "create": "green",
    "warn": "yellow",
    "update": "yellow",
    "adopt": "yellow",
    "skip": "dim",
    "skipped": "dim",
    "unchanged": "dim",
    "fail": "bold red",
    "failed": "bold red",
    "delete": "bold red",
}


def _standstill(steps: int = 1) -> None:
    """Where there is no bar, nothing moves."""


@contextmanager
def progress(opts: options.Options, title: str, total: int) -> Iterator[Advance]:
    """Show a bar on stderr when it is a terminal and stdout is not JSON."""
    console = _console(opts, error=True)
    if opts.json or not console.is_terminal:
        yield _standstill
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda steps=1: bar.advance(task, steps)


class Gauge:
    """A bar on stderr for work whose parts become known as it goes; only on a terminal."""

    def __init__(self, opts: options.Options) -> None:
        self._console = _console(opts, error=True)
        self.visible = self._console.is_terminal and not opts.json
        """Whether anybody sees it."""
        self._bar: Progress | None = None

    def show(self, title: str, done: int, total: int) -> None:
        """Show how far a part is; a total of 0 means that nobody knows."""
        if not self.visible:
            return
        if self._bar is None:
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

            # Narrow, for the name before it may be long.
            columns = (TextColumn("{task.description}"), BarColumn(16), TaskProgressColumn())
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._bar.start()
        # A bar whose total was known once cannot forget it: each part gets one of its own.
        for task in self._bar.task_ids:
            self._bar.remove_task(task)
        self._bar.add_task(visible(title), total=total or None, completed=done)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
