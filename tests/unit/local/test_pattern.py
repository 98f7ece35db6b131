"""Patterns: what matches in a text, what sort of string they ask for, and examples of them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medbots.local.model_server import body, pattern
from medbots.local.model_server.pattern import Kind

ICD = r"^[A-TV-Z]\d[0-9A-Z](?:\.[0-9A-Z]{1,4})?$"
CPT = r"^\d{5}$"
PATTERNS = [
    *(ICD, CPT, r"^S\d+$", r"\S", r"^(?<code>[A-V]\d{4})$", r"^\d{4}-\d{2}-\d{2}$"),
    *(r"^(?:foo|ba[rz]{2,3})?-[^a-y\d]\.\/x*$", r"^[\w.-]{1,64}$", r"^\D\W\S$", r"^(?!A)[AB]\d$"),
    *(r"^\u0041\x42[\]\-]+$", r"a{3}b{2,}c{0,2}d", r"^[[]$"),
]


@pytest.mark.parametrize(
    ("wanted", "text", "expected"),
    [
        (ICD, "Hypertension (I10), diabetes: E11.9. See I10", ["I10", "E11.9"]),
        (ICD, "ICD-10:E11.65;J45", ["E11.65", "J45"]),
        (ICD, "no code, not E1 nor U99.9 nor E11.99999", []),
        (CPT, "Visit 99213, 12 or 123456 times", ["99213"]),
        (r"^\d+ mg$", "Metformin 500 mg daily", ["500 mg"]),
        (ICD, "E11.9 " + "x" * 10_000, ["E11.9"]),
    ],
)
def test_matches(wanted: str, text: str, expected: list[str]) -> None:
    """Whole words of a text that match are found, each once and in their order."""
    assert pattern.matches(wanted, text) == expected


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({}, Kind.PROSE),
        ({"pattern": r"\S"}, Kind.PROSE),
        ({"pattern": r"^.{1,200}$"}, Kind.PROSE),
        ({"pattern": r"^[A-Za-z0-9.-]{1,64}$"}, Kind.WORD),
        ({"pattern": ICD}, Kind.CODE),
        ({"pattern": r"^S\d+$"}, Kind.CITATION),
        ({"pattern": r"^S[1-9]\d{0,2}$"}, Kind.CITATION),
    ],
)
def test_kinds(schema: dict[str, str], kind: Kind) -> None:
    """A pattern tells what sort of string is meant."""
    assert pattern.kind(schema) is kind


@pytest.mark.parametrize("wanted", PATTERNS)
def test_examples_match(wanted: str) -> None:
    """For every pattern of the usual sort an example is found, always the same."""
    first = list(itertools.islice(pattern.invented(wanted, ""), 3))
    assert first
    assert all(pattern.compiled(wanted).search(one) for one in first)
    assert first == list(itertools.islice(pattern.invented(wanted, ""), 3))


def test_what_is_invented_stands_nowhere() -> None:
    """An invented code is not among those that are known."""
    known = "Z99.999 and Z99.99"
    found = list(itertools.islice(pattern.invented(ICD, known), 5))
    assert found[0] == "Z98.9"
    assert not any(one in known for one in found)


@pytest.mark.parametrize("wanted", ["[", "(", r"\p{L}", "*", "(?<n>a)(?<n>b)", "a{9999999999}"])
def test_what_is_no_pattern(wanted: str) -> None:
    """A pattern that cannot be read is refused."""
    with pytest.raises(body.RequestError, match="no pattern that can be read here"):
        pattern.compiled(wanted)


@given(st.text(alphabet="ab19-[](){}|?*+.^$\\dw:=!<>,PxuB", max_size=12))
def test_any_pattern_that_is_read_gives_examples_or_none(wanted: str) -> None:
    """No pattern that Python reads stops the making of examples."""
    try:
        pattern.compiled(wanted)
    except body.RequestError:
        return
    for one in itertools.islice(pattern.invented(wanted, ""), 3):
        assert pattern.compiled(wanted).search(one)
