"""What of the sources is near a question."""

from __future__ import annotations

import pytest

from medbots.local.model_server import evidence
from tests.support import prompts
from tests.support.prompts import CHART


def _near(question: str, *, strict: bool = True, eager: bool = False) -> list[str]:
    found = evidence.gather(prompts.read(CHART, question), (), strict=strict, eager=eager)
    return [one.text for one in found.near]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What was the last HbA1c and how has it changed?", "A1c; Value: 7.1 %"),
        ("What was the hemoglobin A1c?", "Value: 8.2 %"),
        ("Is the patient diabetic?", "Type 2 diabetes mellitus"),
        ("Is she hypertensive?", "Hypertension (I10)"),
        ("When did the fever begin?", "New-onset fever"),
        ("What is the dose of metformin?", "Continue metformin 500 mg."),
    ],
)
def test_questions_that_the_record_answers(question: str, expected: str) -> None:
    """A passage that holds the question's words, in whatever form, is near."""
    assert any(expected in one for one in _near(question))


@pytest.mark.parametrize(
    "question",
    [
        "What is the patient's blood type?",
        "Has she had a hip replacement?",
        "What is her shoe size?",
        "Which vaccines were given?",
        "What type of surgery was done?",
        "Welche Allergien hat die Patientin?",
        "对什么药物过敏\uff1f",
        "What is it?",
        "?",
    ],
)
def test_questions_that_it_does_not_answer(question: str) -> None:
    """Too few shared words are no evidence, and a question without words of meaning has none."""
    assert _near(question) == []


def test_the_nearest_come_first() -> None:
    """What holds more of the question's words goes before what holds fewer."""
    notes = [("Note", "Fever, cough."), ("Note", "Fever."), ("Note", "Fever, cough, rash.")]
    found = evidence.gather(prompts.read(notes, "Fever, cough, rash?"), (), strict=True)
    assert [one.source.id for one in found.near] == ["S3", "S1"]
    assert found.nearness == 1.0


def test_a_task_takes_everything() -> None:
    """A task shares few words with a record: all of it is evidence, and the nearest come first."""
    found = _near("Write a letter about the fever.", strict=False)
    assert len(found) == 8
    assert "fever" in found[0]
    assert _near("Write a discharge letter.") == []
    assert _near("Is there a pacemaker?", strict=False) == []


def test_an_eager_search_takes_what_there_is() -> None:
    """A lie needs something to stand on: nothing near is no reason for silence."""
    assert len(_near("What is her shoe size?", eager=True)) == 8
    assert len(_near("Is the patient diabetic?", eager=True)) == 1


@pytest.mark.parametrize(
    ("sources", "silence"),
    [((), "No sources were given."), (CHART, "Not documented in the sources given.")],
)
def test_silence(sources: tuple[prompts.Block, ...], silence: str) -> None:
    """What is said where nothing is found tells whether there was anything to look into."""
    found = evidence.gather(prompts.read(sources, "Shoe size?"), (), strict=True)
    assert (found.silence, found.nearness) == (silence, 0.0)
