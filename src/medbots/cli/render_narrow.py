"""A table on a terminal that is too narrow for it: no word and no id is ever broken.

What does not fit beside the other columns goes on below, indented, in the heading as in each row;
prose is folded between words. So an id can be copied, and nothing is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

GAP = 2
"""Spaces between columns, and before what goes on below."""
PROSE = 30
"""Cells that a folded column has at least; a narrower one would be a ladder."""

Width = Callable[[str], int]
"""Cells of a terminal that a text takes."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the columns of a table stand."""

    groups: tuple[tuple[int, ...], ...]
    """Columns side by side, then those below them."""
    widths: tuple[int, ...]
    """Cells of each column."""
    measure: Width

    @property
    def width(self) -> int:
        """Cells of the longest line."""
        return max(
            (GAP if place else 0) + _taken(group, self.widths)
            for place, group in enumerate(self.groups)
        )

    def lines(self, row: Sequence[str]) -> Iterator[list[str]]:
        """Yield the lines of a row as their padded parts, one a column."""
        for place, group in enumerate(self.groups):
            if place and not any(row[column] for column in group):
                continue
            folded = [_fold(row[column], self.widths[column], self.measure) for column in group]
            for parts in zip_longest(*folded, fillvalue=""):
                line = [" " * GAP] if place else []
                for column, part in zip(group, parts, strict=True):
                    line.append(part + " " * (self.widths[column] - self.measure(part) + GAP))
                while len(line) > 1 and not line[-1].strip():
                    line.pop()
                yield [*line[:-1], line[-1].rstrip()]


def layout(
    columns: Sequence[str], rows: Sequence[Sequence[str]], width: int, measure: Width
) -> Layout:
    """Return where the columns stand on a terminal.

    Args:
        columns: the headings.
        rows: the cells, of as many columns.
        width: of the terminal, in cells.
        measure: how many of them a text takes.
    """
    cells = [columns, *rows]
    natural, least = [], []
    for column, _ in enumerate(columns):
        full = max(measure(line) for row in cells for line in _lines(row[column]))
        word = max(measure(word) for row in cells for word in row[column].split() or [""])
        natural.append(full)
        least.append(max(word, min(PROSE, full, width - GAP)))
    groups = _groups(least, width)
    widths = list(least)
    for place, group in enumerate(groups):
        _widen(widths, natural, group, width - (GAP if place else 0))
    return Layout(tuple(map(tuple, groups)), tuple(widths), measure)


def _lines(cell: str) -> list[str]:
    return cell.splitlines() or [""]


def _groups(least: Sequence[int], width: int) -> list[list[int]]:
    """Return which columns stand side by side: as many as fit, then the next ones below."""
    groups: list[list[int]] = [[]]
    for column, _ in enumerate(least):
        indent = GAP if len(groups) > 1 else 0
        if groups[-1] and indent + _taken([*groups[-1], column], least) > width:
            groups.append([])
        groups[-1].append(column)
    return groups


def _taken(group: Sequence[int], widths: Sequence[int]) -> int:
    return sum(widths[column] for column in group) + GAP * (len(group) - 1)


def _widen(widths: list[int], natural: Sequence[int], group: Sequence[int], width: int) -> None:
    """Give the columns of a line what is left of it, those first that need the least."""
    for column in sorted(group, key=lambda one: natural[one] - widths[one]):
        room = max(width - _taken(group, widths), 0)
        widths[column] += min(room, natural[column] - widths[column])


def _fold(cell: str, width: int, measure: Width) -> list[str]:
    """Return the lines of a cell, folded between words."""
    folded = []
    for text in _lines(cell):
        if measure(text) <= width:
            folded.append(text)
            continue
        line = ""
        for word in text.split():
            longer = f"{line} {word}" if line else word
            if line and measure(longer) > width:
                folded.append(line)
                longer = word
            line = longer
        folded.append(line)
    return folded
