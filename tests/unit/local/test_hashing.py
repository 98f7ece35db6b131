"""Embeddings by feature hashing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medbots.local.model_server import hashing

KNOWN = (
    *(0.0, 0.0, 0.0, 0.1282, 0.0, -0.1282, -0.2565, 0.0),
    *(0.1282, 0.0, 0.0, 0.2565, 0.6346, 0.1282, 0.0, 0.6325),
)
THRESHOLD = 0.5
"""Of the Semantic Search Bot, where nobody says another."""

QUERY = "type 2 diabetes with high hemoglobin A1c"
NEAR = [
    "[Condition | 2023-10-01 | Condition]\nCondition: Type 2 diabetes mellitus\nStatus: active",
    "[Observation | 2025-09-30 | Result]\nObservation: Hemoglobin A1c/Hemoglobin.total in Blood",
]
FAR = [
    "[DiagnosticReport | 2025-08-23 | Text]\nLungs clear. Heart size normal.",
    "[MedicationStatement | 2025-07-27]\nMedication: Tiotropium\nDosage: 18mcg INH DAILY",
    "qwerty zxcvb asdf",
]


def _cosine(one: str, other: str) -> float:
    return hashing.cosine(hashing.embed(one, 768), hashing.embed(other, 768))


@pytest.mark.parametrize("near", NEAR)
@pytest.mark.parametrize("far", FAR)
def test_related_texts_are_nearer(near: str, far: str) -> None:
    """What shares the query's words passes the usual threshold; what shares none does not."""
    assert _cosine(QUERY, near) > THRESHOLD > _cosine(QUERY, far)


def test_an_inflected_word_is_near() -> None:
    """The n-grams inside a word bring its forms together."""
    assert _cosine("diabetic", "diabetes") > _cosine("diabetic", "fracture") + 0.1


def test_known_vector() -> None:
    """The vector of a text is the same on every machine and in every release."""
    vector = hashing.embed("fever", 16)
    assert tuple(round(value, 4) for value in vector) == KNOWN


@pytest.mark.parametrize("text", ["", "   ", "!!!"])
def test_a_text_without_words(text: str) -> None:
    """It has a vector too, and none of its numbers is undefined."""
    assert hashing.embed(text, 8) == [0.0] * 7 + [1.0]


@given(st.text(max_size=300), st.integers(2, 1024))
def test_every_vector_has_length_one(text: str, dimension: int) -> None:
    """Whatever the text, the vector has the configured size and the length 1."""
    vector = hashing.embed(text, dimension)
    assert len(vector) == dimension
    assert math.hypot(*vector) == pytest.approx(1.0)
