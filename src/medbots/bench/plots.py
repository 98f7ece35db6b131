"""The plots of a report, as SVG."""

from __future__ import annotations

import io
import re
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from medbots.bench import figures

_OURS, _GUIDE = "#0b7285", "#c2410c"
_SIZE = (6.4, 3.8)


def recall_against_latency(found: figures.Measured) -> str:
    """Return the recall that each side reaches for its time, by the setting of its index."""
    figure, axes = _axes("p50 of a search, ms", "recall@10")
    for points, colour, label in (
        (found.curve, _OURS, "medbots: HNSW, by candidates"),
        (found.guide_curve, _GUIDE, "guide: IVFFlat made on an empty table, by probes"),
    ):
        times, recalls = [one.p50 for one in points], [one.recall for one in points]
        axes.plot(times, recalls, "o-", color=colour, label=label)
        for one in points:
            axes.annotate(
                str(one.setting),
                (one.p50, one.recall),
                textcoords="offset points",
                xytext=(4, -11),
                fontsize=8,
            )
    axes.set_xscale("log")
    axes.set_ylim(0, 1.03)
    return _svg(figure, axes)


def latency_against_rows(found: figures.Measured) -> str:
    """Return how long searches take as the rows grow."""
    figure, axes = _axes("rows", "p50 of a search, ms")
    rows = [one.rows for one in found.stages]
    for values, colour, style, label in (
        ([one.guide_exact for one in found.stages], _GUIDE, "s--", "guide, exact"),
        ([one.exact for one in found.stages], _OURS, "s--", "medbots, exact"),
        ([one.guide_search for one in found.stages], _GUIDE, "o-", "guide, default"),
        ([one.search for one in found.stages], _OURS, "o-", "medbots, default"),
    ):
        axes.plot(rows, values, style, color=colour, label=label)
    axes.set_yscale("log")
    axes.set_xlim(left=0)
    return _svg(figure, axes)


def insert_cost(found: figures.Measured) -> str:
    """Return what a row costs on its way into the store."""
    figure, axes = _axes("rows that are there", "ms a row")
    rows = [one.rows for one in found.stages]
    for values, colour, style, label in (
        ([1000 * one.insert_row for one in found.stages], _OURS, "o-", "medbots, into the index"),
        (
            [1000 * (one.load_row + one.build / one.rows) for one in found.stages],
            _OURS,
            "s--",
            "medbots, load and build",
        ),
        ([1000 * one.guide_row for one in found.stages], _GUIDE, "o-", "guide, into its indexes"),
    ):
        axes.plot(rows, values, style, color=colour, label=label)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    return _svg(figure, axes)


def _axes(horizontal: str, vertical: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(horizontal)
    axes.set_ylabel(vertical)
    axes.grid(visible=True, color="#e5e7eb")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Figure, axes: Any) -> str:
    """Return the figure as an element for a page: no declaration, text as text, ids of its own."""
    axes.legend(frameon=False, fontsize=9)
    target = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "medbots"}):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(target, format="svg", metadata=nothing)
    return re.sub(r"^.*?(?=<svg)", "", target.getvalue(), flags=re.DOTALL)
