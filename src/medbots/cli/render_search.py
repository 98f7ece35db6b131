"""What a search by meaning found, as a table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from medbots.cli import options, render

_HEADING = re.compile(r"\[(?P<type>[^|\]]*)\|(?P<date>[^|\]]*)\|(?P<section>[^\]]*)\]\s*")
"""What each chunk begins with."""
_DATE = re.compile(r"\d{4}(-\d{2}){0,2}")
_LONGEST = 160


def results(
    opts: options.Options, answer: Mapping[str, Any] | None, question: Mapping[str, Any]
) -> None:
    """Print the hits, the nearest first; nothing where the answer has been printed already."""
    if answer is None:
        return
    hits = answer.get("results") or []
    if hits:
        columns = ["similarity", "type", "id", "date", "snippet"]
        render.table(opts, _shown(columns, hits), [_row(hit) for hit in hits])
    else:
        near = question.get("minSimilarity", 0.5)
        render.note(f"nothing found: no record comes as near as {near:g}, or you may read none")
    if left_out := answer.get("filteredCount"):
        render.note(f"{left_out} left out: gone, out of date, or not for you to read")


def _shown(columns: list[str], hits: list[Mapping[str, Any]]) -> list[str]:
    return columns if any("matchedText" in hit for hit in hits) else columns[:3]


def _row(hit: Mapping[str, Any]) -> list[str]:
    cells = [
        f"{hit['similarity']:.2f}",
        str(hit["resourceType"]),
        str(hit["resourceId"]),
    ]
    if "matchedText" not in hit:
        return cells
    date, snippet = parts(str(hit["matchedText"]))
    return [*cells, date, snippet]


def parts(text: str) -> tuple[str, str]:
    """Return the date in a chunk's heading, and the first line after it."""
    heading = _HEADING.match(text)
    date = heading["date"].strip() if heading else ""
    rest = text[heading.end() :] if heading else text
    line = next((one.strip() for one in rest.splitlines() if one.strip()), "")
    short = line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
    return date if _DATE.fullmatch(date) else "", short
