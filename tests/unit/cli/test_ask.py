"""`ask`: what the bot is asked, and how an answer, or none, is shown."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.ward import Ward
from tests.unit.cli.conftest import Medbots

FIRST, SECOND = "HbA1c was 8.2 % on 2026-01-10.", "It fell to 7.1 %."
MODEL = "offline-stand-in/extractive"


def citation(sentence: str, source: str, text: str, date: str | None = None) -> dict[str, Any]:
    """Return a citation as the bot gives it."""
    return {"text": text, "source": source, "date": date, "sentence": sentence}


ANSWER = {
    "success": True,
    "answer": f"{FIRST} {SECOND}",
    "refused": False,
    "confidence": 0.714,
    "confidenceCalibrated": False,
    "citations": [
        citation(FIRST, "Observation/a", "HbA1c\n8.2 %", "2026-01-10"),
        citation(SECOND, "Observation/b", "HbA1c\n7.1 %"),
        citation(SECOND, "Observation/a", "HbA1c\n8.2 %", "2026-01-10"),
    ],
    "modelUsed": MODEL,
    "warnings": ["UNKNOWN_CITATION"],
}
REFUSED = {
    "success": True,
    "answer": None,
    "refused": True,
    "refusalReason": "NOT_DOCUMENTED",
    "confidence": 0,
    "modelUsed": MODEL,
    "warnings": [],
}


@pytest.mark.parametrize(
    ("args", "asked"),
    [
        ((), {}),
        (("--max-chunks", "9"), {"maxContextChunks": 9}),
        (("--question-type", "trend"), {"questionType": "trend"}),
        (("--no-citations",), {"includeCitations": False}),
    ],
)
def test_what_is_asked(
    ward: Ward, medbots: Medbots, args: tuple[str, ...], asked: dict[str, Any]
) -> None:
    """Each option is a field of the bot; what is not given is left to it."""
    ward.answers["rag-pipeline"] = ANSWER
    assert medbots("ask", "Which HbA1c?", "--patient", "Patient/p9", *args).code == 0
    assert ward.inputs == [
        ("rag-pipeline", {"question": "Which HbA1c?", "patientId": "p9", **asked})
    ]


def test_a_kind_of_question_that_there_is_not(ward: Ward, medbots: Medbots) -> None:
    """Exit 64 with the kinds that there are, and nobody is asked."""
    told = medbots("ask", "Which HbA1c?", "--patient", "p9", "--question-type", "odd")
    assert (told.code, told.out, ward.inputs) == (64, "", [])
    assert "--question-type takes general, trend, lab, medication, history" in told.err


def test_the_answer(ward: Ward, medbots: Medbots) -> None:
    """Sentences with marks, sources with dates, confidence and model; warnings on stderr."""
    ward.answers["rag-pipeline"] = ANSWER
    told = medbots("ask", "Which HbA1c?", "--patient", "p9")
    assert told.out.splitlines() == [
        f"{FIRST} [1] {SECOND} [2][1]",
        "",
        "[1] Observation/a  2026-01-10",
        "    HbA1c 8.2 %",
        "[2] Observation/b  undated",
        "    HbA1c 7.1 %",
        "",
        f"confidence 0.71 (uncalibrated), by {MODEL}",
    ]
    assert (told.code, told.err) == (0, "warning: UNKNOWN_CITATION\n")


@pytest.mark.parametrize("citations", [None, [], [{}], [{"source": "Observation/a"}], ["odd"]])
def test_citations_of_another_form(ward: Ward, medbots: Medbots, citations: Any) -> None:
    """The answer is shown whole, whatever its citations are."""
    ward.answers["rag-pipeline"] = {**ANSWER, "citations": citations}
    told = medbots("ask", "Which HbA1c?", "--patient", "p9")
    assert (told.code, told.out.splitlines()[0]) == (0, f"{FIRST} {SECOND}")


def test_the_same_sentence_twice(ward: Ward, medbots: Medbots) -> None:
    """A sentence that comes twice gets its marks, and nothing of the answer is lost."""
    answer = f"{FIRST} {FIRST}"
    citations = [citation(FIRST, "Observation/a", "x"), citation(FIRST, "Observation/b", "y")]
    ward.answers["rag-pipeline"] = {**ANSWER, "answer": answer, "citations": citations}
    out = medbots("ask", "Which HbA1c?", "--patient", "p9").out
    assert out.splitlines()[0] == f"{FIRST} [1][2] {FIRST}"


@pytest.mark.parametrize(
    ("reason", "used", "words"),
    [
        ("NOT_DOCUMENTED", 3, "the model found none in the 3 sources that were searched"),
        ("NOT_DOCUMENTED", 1, "the model found none in the one source that was searched"),
        ("NOT_DOCUMENTED", None, "the model found none in the sources that were searched"),
        (
            "NOT_SUPPORTED",
            2,
            "what the model said is not borne out by the 2 sources that were searched",
        ),
        ("NO_CONTEXT", 0, "nothing was found that you may read"),
        ("NO_QUESTION", 4, "it is no question, but an order to the model"),
        ("NEW_{REASON}", 0, "NEW_{REASON}"),
        (None, 0, "the bot gives no reason"),
    ],
)
def test_a_refusal(
    ward: Ward, medbots: Medbots, reason: str | None, used: int | None, words: str
) -> None:
    """It is said, with its reason and in what was searched, and is an answer: exit 0."""
    context = None if used is None else [{"id": f"S{number}"} for number in range(used)]
    ward.answers["rag-pipeline"] = {**REFUSED, "refusalReason": reason, "contextUsed": context}
    told = medbots("ask", "Which HbA1c?", "--patient", "p9")
    assert (told.code, told.out) == (0, f"No answer: {words}.\nby {MODEL}\n")


def test_no_model_was_asked(ward: Ward, medbots: Medbots) -> None:
    """Where no model took part, none is named."""
    ward.answers["rag-pipeline"] = {**REFUSED, "modelUsed": None}
    assert "no model was asked" in medbots("ask", "Which HbA1c?", "--patient", "p9").out


@pytest.mark.parametrize("answer", [ANSWER, REFUSED])
def test_json_is_the_bots_own(ward: Ward, medbots: Medbots, answer: dict[str, Any]) -> None:
    """Nothing is added and nothing left out."""
    ward.answers["rag-pipeline"] = answer
    told = medbots("ask", "Which HbA1c?", "--patient", "p9", "--format", "json")
    assert (told.code, told.json) == (0, answer)


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_model_is_away(ward: Ward, medbots: Medbots, form: str) -> None:
    """Exit 1, code and cure; no answer is made up."""
    answer = {
        "success": False,
        "errorCode": "LLM_ERROR",
        "message": "The model router did not answer",
        "contextUsed": [{"title": "HbA1c"}],
    }
    ward.answers["rag-pipeline"] = answer
    told = medbots("ask", "Which HbA1c?", "--patient", "p9", "--format", form)
    assert told.code == 1
    assert "LLM_ERROR: The model router did not answer" in told.err
    assert "\nhint: medbots verify --only 'router.*' tells what is down\n" in told.err
    if form == "text":
        assert told.out == ""
    else:
        error = {
            "code": "bot-failed",
            "message": "bot 'rag-pipeline' failed: LLM_ERROR: The model router did not answer",
            "hint": "medbots verify --only 'router.*' tells what is down",
        }
        assert told.json == {**answer, "error": error}


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_such_patient(ward: Ward, medbots: Medbots, form: str) -> None:
    """Exit 1 with the bot's code, and what to look at."""
    ward.answers["rag-pipeline"] = {
        "success": False,
        "errorCode": "PATIENT_NOT_FOUND",
        "message": "Patient/p9 does not exist, or may not be read",
    }
    told = medbots("ask", "Which HbA1c?", "--patient", "p9", "--format", form)
    assert told.code == 1
    assert "PATIENT_NOT_FOUND: Patient/p9 does not exist, or may not be read" in told.err
    assert "hint: check the id, and by medbots whoami who is logged in" in told.err


@pytest.mark.parametrize(
    "args",
    [
        ("Which?",),
        ("--patient", "p9"),
        ("Which?", "--patient", ""),
        ("Which?", "--patient", "Observation/o"),
        ("Which?", "--patient", "p9", "--max-chunks", "0"),
        ("Which?", "--patient", "p9", "--max-chunks", "21"),
        ("Which?", "and", "--patient", "p9"),
    ],
)
def test_mistakes(ward: Ward, medbots: Medbots, args: tuple[str, ...]) -> None:
    """Exit 64, and nothing is asked."""
    ward.answers["rag-pipeline"] = ANSWER
    told = medbots("ask", *args)
    assert (told.code, told.out, ward.inputs) == (64, "", [])


def test_what_a_terminal_would_obey(ward: Ward, medbots: Medbots) -> None:
    """Control codes out of a record are shown, not obeyed."""
    bad = {**ANSWER, "answer": "a\x1b[2J", "citations": [citation("a\x1b[2J", "O/a", "\x9b31m")]}
    ward.answers["rag-pipeline"] = bad
    assert not set(medbots("ask", "Which?", "--patient", "p9").out) & set("\x1b\x9b")
