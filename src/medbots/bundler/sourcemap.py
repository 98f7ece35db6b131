"""Finds the line of a source that a place in a bundle came from (source map, revision 3)."""

from __future__ import annotations

import bisect
import json
from collections.abc import Iterator
from dataclasses import dataclass

_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_VALUE = {digit: value for value, digit in enumerate(_DIGITS)}
_CONTINUES = 32


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a source."""

    source: str
    line: int
    """1-based."""
    column: int
    """0-based."""


class SourceMap:
    """A parsed source map."""

    def __init__(self, content: bytes) -> None:
        """Parse `content`.

        Raises:
            ValueError: it is no source map.
        """
        document = json.loads(content)
        try:
            self._sources: list[str] = document["sources"]
            self._texts: list[str | None] = document.get("sourcesContent") or []
            self._lines = [list(line) for line in _mappings(document["mappings"])]
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError("not a source map") from error

    def place(self, line: int, column: int) -> Place | None:
        """Return where 1-based `line` and 0-based `column` of the bundle came from."""
        if not 1 <= line <= len(self._lines):
            return None
        segments = self._lines[line - 1]
        index = bisect.bisect_right([segment[0] for segment in segments], column) - 1
        if index < 0:
            return None
        _, source, source_line, source_column = segments[index]
        return Place(self._sources[source], source_line + 1, source_column)

    def lines(self, source: str) -> list[str]:
        """Return the lines of a source's text; none where the map does not hold it."""
        index = self._sources.index(source) if source in self._sources else len(self._texts)
        text = self._texts[index] if index < len(self._texts) else None
        return text.splitlines() if text else []


def _mappings(text: str) -> Iterator[Iterator[tuple[int, int, int, int]]]:
    """Yield for each line its segments: column, source, line and column there, all 0-based."""
    position = [0, 0, 0]
    for line in text.split(";"):
        yield iter(_line(line, position))


def _line(text: str, position: list[int]) -> list[tuple[int, int, int, int]]:
    column = 0
    segments = []
    for part in filter(None, text.split(",")):
        numbers = list(_numbers(part))
        column += numbers[0]
        if len(numbers) >= 4:  # noqa: PLR2004 (a segment of one number has no source)
            for index in range(3):
                position[index] += numbers[index + 1]
            segments.append((column, position[0], position[1], position[2]))
    return segments


def _numbers(text: str) -> Iterator[int]:
    value = shift = 0
    for digit in text:
        six = _VALUE[digit]
        value |= (six & (_CONTINUES - 1)) << shift
        shift += 5
        if not six & _CONTINUES:
            yield -(value >> 1) if value & 1 else value >> 1
            value = shift = 0
