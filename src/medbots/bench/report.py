"""The report of a benchmark: one HTML file that needs nothing beside it."""

from __future__ import annotations

import datetime as dt
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import jinja2

import medbots
from medbots import errors
from medbots.bench import figures, ratios


def write(target: Path, found: figures.Measured, judged: Sequence[ratios.Ratio]) -> None:
    """Write the report.

    Raises:
        errors.StorageError: the file cannot be written.
    """
    try:
        target.write_text(html(found, judged), encoding="utf-8")
    except OSError as error:
        raise errors.StorageError(
            f"the report {target} cannot be written: {error.strerror}", hint="--html FILE"
        ) from error


def html(found: figures.Measured, judged: Sequence[ratios.Ratio]) -> str:
    """Return the report."""
    from medbots.bench import plots  # noqa: PLC0415 (matplotlib takes a second)

    template = Path(__file__).with_name("report.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(template).render(
        found=found,
        ratios=judged,
        version=medbots.__version__,
        at=dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        machine=f"{os.cpu_count()} CPUs, {platform.platform()}",
        plots=(
            ("Recall against latency", plots.recall_against_latency(found)),
            ("Latency against rows", plots.latency_against_rows(found)),
            ("What a row costs", plots.insert_cost(found)),
        ),
        kinds=(
            ("all rows", found.guide.everything, found.ours.everything),
            ("a type of 5 %", found.guide.rare, found.ours.rare),
            ("one patient", found.guide.patient, found.ours.patient),
            ("all rows, exact", found.guide.exact, found.ours.exact),
        ),
    )
