"""Source maps: from a place in a bundle to the line of a source."""

from __future__ import annotations

import json

import pytest

from medbots.bundler import sourcemap

# Line 1: column 0 and 8 of a.ts, lines 1 and 3; line 2: nothing; line 3: column 4 of b.ts, line 1.
CONTENT = {
    "version": 3,
    "sources": ["a.ts", "b.ts"],
    "sourcesContent": ["one\ntwo\nthree\n", None],
    "mappings": "AAAA,QAEI;;ICFA",
}


def parsed() -> sourcemap.SourceMap:
    """The map above."""
    return sourcemap.SourceMap(json.dumps(CONTENT).encode())


@pytest.mark.parametrize(
    ("line", "column", "place"),
    [
        (1, 0, ("a.ts", 1, 0)),
        (1, 7, ("a.ts", 1, 0)),
        (1, 8, ("a.ts", 3, 4)),
        (1, 500, ("a.ts", 3, 4)),
        (2, 0, None),
        (3, 3, None),
        (3, 4, ("b.ts", 1, 4)),
        (4, 0, None),
        (0, 0, None),
    ],
)
def test_a_place_is_the_segment_at_or_before_it(
    line: int, column: int, place: tuple[str, int, int] | None
) -> None:
    """A column belongs to the last segment that begins at or before it."""
    found = parsed().place(line, column)
    assert (found and (found.source, found.line, found.column)) == place


def test_the_text_of_a_source_is_given_where_the_map_holds_it() -> None:
    """A map may leave a source's text out, and knows no other sources."""
    assert parsed().lines("a.ts") == ["one", "two", "three"]
    assert parsed().lines("b.ts") == parsed().lines("c.ts") == []


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b'{"sources": [], "mappings": "!"}'])
def test_what_is_no_source_map_is_a_value_error(raw: bytes) -> None:
    """A damaged map is told apart from a defect of ours."""
    with pytest.raises(ValueError, match=r"."):
        sourcemap.SourceMap(raw)
