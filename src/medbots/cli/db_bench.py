"""`db bench`: this store beside the deployment guide's, measured in one run."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medbots import errors
from medbots.cli import interruption, options, render, render_bench, store, wiring

if TYPE_CHECKING:
    from medbots.bench.figures import Measured
    from medbots.bench.ratios import Ratio

ROWS = 20_000
_FEWEST_ROWS, _MOST_ROWS = 400, 2_000_000
QUERIES = 100

Rows = Annotated[
    int,
    typer.Option(
        "--rows",
        metavar="N",
        min=_FEWEST_ROWS,
        max=_MOST_ROWS,
        help="Rows on each side: some 20 MB of disk a thousand.",
    ),
]
Html = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write a report with plots too.")
]


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured, and what it comes to."""

    database: str
    measured: Measured
    ratios: tuple[Ratio, ...]
    html: Path | None = None

    @property
    def ok(self) -> bool:
        """Whether no goal is missed."""
        return not self.missed

    @property
    def missed(self) -> int:
        """How many goals are missed; one that so few rows cannot tell of is not."""
        return sum(one.met is False for one in self.ratios)

    @property
    def judged(self) -> int:
        """How many goals the rows are enough to judge by."""
        return sum(one.met is not None for one in self.ratios)


def register(noun: typer.Typer) -> None:
    """Add the verb to `db`."""
    noun.command("bench", cls=options.Command)(bench)


def bench(ctx: typer.Context, rows: Rows = ROWS, html: Html = None) -> None:
    """Measure this store beside the guide's schema, with synthetic rows in scratch schemas.

    Takes some minutes and loads the server: not for one at work. Exits with 1 when a goal is
    missed; most are judged from 20,000 rows on. Needs the database alone, and no login.
    """
    opts = options.of(ctx)
    with interruption.by_termination():
        report = _measure(opts, rows, html)
    render_bench.report(opts, report)
    if not report.ok:
        raise typer.Exit(errors.CheckFailedError.exit_code)


def _measure(opts: options.Options, rows: int, html: Path | None) -> Report:
    _require(html)
    from medbots.bench import data, ratios, report, run

    settings = wiring.settings(opts, wiring.manifest(opts))
    url, setting = store.url(settings)
    say = (lambda _: None) if opts.json else render.note
    corpus = data.Corpus(rows, queries=QUERIES)
    measured = wiring.run(run.measure(run.Ground(url, setting), corpus, say))
    found = Report(store.name(settings), measured, ratios.judge(measured), html)
    if html is not None:
        report.write(html, measured, found.ratios)
    return found


def _require(html: Path | None) -> None:
    """Raise before anything is measured where a package or the report's folder is missing."""
    import importlib.util

    wanted = ("numpy",) if html is None else ("numpy", "matplotlib")
    missing = [name for name in wanted if importlib.util.find_spec(name) is None]
    if missing:
        raise errors.MedbotsError(
            f"the benchmark needs {' and '.join(missing)}, which medbots alone does not install",
            hint="pip install 'medbots[bench]'",
        )
    if html is not None:
        _require_writable(html)


def _require_writable(html: Path) -> None:
    """Raise where no report can be written; an older one stays as it is until then.

    Raises:
        errors.UsageError: it is a folder, lies in none, or the system refuses it.
    """
    try:
        if not html.absolute().parent.is_dir():
            raise errors.UsageError(
                f"--html {html}: there is no folder {html.parent}", hint=f"mkdir -p {html.parent}"
            )
        if html.is_dir():
            raise errors.UsageError(
                f"--html {html}: that is a folder, and a file is wanted",
                hint=f"--html {html / 'report.html'}",
            )
        _open(Path(os.path.realpath(html)))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise errors.UsageError(
            f"--html {html}: it cannot be written: {reason}",
            hint="name a file that you may write",
        ) from error


def _open(target: Path) -> None:
    """Open a file for writing, and leave everything as it was: the system knows best if it can."""
    try:
        target.open("xb").close()
    except FileExistsError:
        # Whoever reads a pipe would take this for its end.
        if stat.S_ISREG(target.stat().st_mode):
            target.open("ab").close()
    else:
        target.unlink()
