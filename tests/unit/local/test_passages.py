"""Sources cut into passages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medbots.local.model_server import passages, prompt

SECTIONS = ("subjective", "assessment", "plan")


def _split(text: str, sections: tuple[str, ...] = ()) -> list[passages.Passage]:
    return passages.split(prompt.Source("S1", "Note | 2024 | Visit", text), sections)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Fever. Cough for 3 days! Well otherwise.",
            ["Fever.", "Cough for 3 days!", "Well otherwise."],
        ),
        ("Seen by Dr. Ada. Temp. was 38.3 °C.", ["Seen by Dr. Ada.", "Temp. was 38.3 °C."]),
        ("1. Hypertension\n2. Asthma", ["1. Hypertension", "2. Asthma"]),
        ("A sentence that\nis wrapped. Another.", ["A sentence that is wrapped.", "Another."]),
        ("Fact one\nFact two", ["Fact one", "Fact two"]),
        ("Observation: A1c\nValue: 8.2 %", ["Observation: A1c; Value: 8.2 %"]),
        ("[Observation | 2024 | Result]\nValue: 8.2 %", ["Value: 8.2 %"]),
        ("Text.\n\n[removed]\n---\n", ["Text."]),
        ("血压正常。无发热。", ["血压正常。", "无发热。"]),
        ("", []),
    ],
)
def test_passages(text: str, expected: list[str]) -> None:
    """A passage is a sentence, a line, or labelled lines that belong together."""
    assert [one.text for one in _split(text)] == expected


def test_a_long_record_is_parted() -> None:
    """Labelled lines stay together up to 300 characters."""
    text = "\n".join(f"Line {number}: {'x' * 80}" for number in range(6))
    assert [len(one.raw) <= 300 for one in _split(text)] == [True, True]


@pytest.mark.parametrize(
    "text",
    [
        "Subjective: Tired.\nAssessment: Anemia.\nPlan: Iron.",
        "S: Tired.\nA: Anemia.\nP: Iron.",
        "## Subjective\nTired.\n\n## Assessment\nAnemia.\n\n## Plan\nIron.",
        "Subjective:\nTired.\nAssessment:\nAnemia.\nPlan:\nIron.",
        "SUBJECTIVE NOTE\nTired.\nASSESSMENT NOTE\nAnemia.\nPLAN OF CARE\nIron.",
    ],
)
def test_headings_and_labels_name_sections(text: str) -> None:
    """A passage stands under its heading or the label of its line, which is no part of it."""
    found = _split(text, SECTIONS)
    assert [one.text for one in found] == ["Tired.", "Anemia.", "Iron."]
    under = [[name for name in SECTIONS if one.stands_under(name)] for one in found]
    assert under == [["subjective"], ["assessment"], ["plan"]]


def test_a_title_names_a_section() -> None:
    """All of a source stands under its title."""
    source = prompt.Source("S1", "Clinician | 2024 | Plan", "Start iron.")
    (one,) = passages.split(source, SECTIONS)
    assert one.stands_under("plan")
    assert not one.stands_under("assessment")


@given(st.text(alphabet="aB3 .:!?\n-[]#\u3002é", max_size=200))
def test_passages_are_the_source_s_own_words(text: str) -> None:
    """Every passage stands in the source to the letter, in its order, and no word is lost."""
    at = 0
    for one in _split(text):
        at = text.index(one.raw, at)
        assert one.text
        at += len(one.raw)
