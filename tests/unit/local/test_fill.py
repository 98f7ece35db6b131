"""Answers made from sources by the schema alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medbots.local.model_server import extractive, schema
from medbots.local.model_server.place import Manner, UnfillableError
from tests.support import json_schema, prompts
from tests.support.prompts import ANSWER, CHART, CODES, CPT, DIFFERENTIALS, ICD_10_CM, NOTE_PARTS

HONEST = Manner()


def _answer(
    wanted: dict[str, Any],
    question: str,
    sources: Sequence[prompts.Block] = CHART,
    task: str | None = None,
    manner: Manner = HONEST,
) -> Any:
    asked = prompts.read(sources, question)
    found = extractive.evidence_for(asked, wanted, task, eager=manner.eager)
    return extractive.answer(wanted, found, manner)


def test_a_question_is_answered_from_the_nearest_sources() -> None:
    """Both values of a planted series come back, each with the source it stands in."""
    assert _answer(ANSWER, "What was the HbA1c and how did it change?") == {
        "answerable": True,
        "sentences": [
            {
                "text": "Observation: Hemoglobin A1c; Value: 8.2 %; Interpretation: High",
                "citations": ["S1"],
            },
            {"text": "Observation: Hemoglobin A1c; Value: 7.1 %", "citations": ["S2"]},
        ],
    }


def test_a_question_without_an_answer() -> None:
    """Where nothing is near, the answer says so and cites nothing."""
    assert _answer(ANSWER, "What is the patient's blood type?") == {
        "answerable": False,
        "sentences": [],
    }


def test_sections_get_what_stands_under_their_names() -> None:
    """Each of several lists gets the passages under its heading, and an unsupported one none."""
    note = ("Note | 2024 | Clinician", "S: Tired.\nP: Start iron.")
    assert _answer(NOTE_PARTS, "Write a progress note.", [note]) == {
        "subjective": [{"text": "Tired.", "citations": ["S1"]}],
        "assessment": [],
        "plan": [{"text": "Start iron.", "citations": ["S1"]}],
    }


def test_sections_without_headings_are_dealt_out() -> None:
    """Where nothing names a section, passages go round, so that each section has some."""
    sources = [("Note", "Fever."), ("Note", "Cough."), ("Note", "Rash.")]
    made = _answer(NOTE_PARTS, "Write a progress note.", sources)
    assert {name: len(part) for name, part in made.items()} == {
        "subjective": 1,
        "assessment": 1,
        "plan": 1,
    }


def test_a_name_and_its_reason() -> None:
    """The first of two texts names, from the label or the title; the second tells, and is cited."""
    made = _answer(DIFFERENTIALS, "Suggest differentials.", [prompts.DIABETES, prompts.NOTE])
    first, *others = made["differentials"]
    assert first == {
        "condition": "Type 2 diabetes mellitus",
        "rationale": "Condition: Type 2 diabetes mellitus; Code: E11.9 (ICD-10-CM)",
        "citations": ["S1"],
    }
    assert len(others) == 2
    assert all(one["citations"] == ["S2"] for one in others)


def test_codes_are_those_that_stand_in_the_sources() -> None:
    """Each code is found by its pattern, once, with its system, a quote and its sources."""
    made = _answer(CODES, "Suggest billing codes.")["codes"]
    assert [(one["system"], one["code"], one["citations"]) for one in made] == [
        (ICD_10_CM, "E11.9", ["S3"]),
        (ICD_10_CM, "I10", ["S4"]),
        (CPT, "99213", ["S4"]),
    ]
    for one in made:
        texts = {f"S{number}": text for number, (_, text) in enumerate(CHART, 1)}
        assert one["evidence"] in texts[one["citations"][0]]
        assert 0 < one["confidence"] <= 0.8


def test_no_code_no_item() -> None:
    """A list of codes stays empty where no source has one."""
    assert _answer(CODES, "Suggest billing codes.", [("Note", "Cough.")]) == {"codes": []}


@pytest.mark.parametrize("wanted", [ANSWER, NOTE_PARTS, DIFFERENTIALS, CODES])
@pytest.mark.parametrize(("sources", "task"), [((), None), (CHART, "health_check")])
def test_nothing_to_stand_on(
    wanted: dict[str, Any], sources: tuple[prompts.Block, ...], task: str | None
) -> None:
    """Without sources, or for a health check, the answer is empty and fits."""
    made = _answer(wanted, "Anything?", sources, task)
    assert json_schema.faults(made, wanted) == []
    assert not any(made.values())


STRING = {"type": "string"}


@pytest.mark.parametrize(
    ("name", "wanted", "expected"),
    [
        ("evidence", STRING, "Value: 8.2 %"),
        ("text", {"type": "string", "description": "Quote the record verbatim."}, "Value: 8.2 %"),
        ("text", {"type": "string", "maxLength": 8}, "Value:"),
        ("text", {"type": "string", "minLength": 30}, "Value: 8.2 % Nothing more is documented."),
        ("text", {"type": "string", "minLength": 12, "maxLength": 12}, "Value: 8.2 %"),
        ("source", STRING, "S1"),
        ("sourceId", {"type": "string", "pattern": r"^S\d+$"}, "S1"),
        ("cite", {"type": "string", "pattern": r"^S\d+$"}, "S1"),
        ("date", STRING, "2024-02-03"),
        ("code", {"type": "string", "pattern": r"^\d+\.\d$"}, "8.2"),
        ("value", {"type": "number"}, 8.2),
        ("value", {"type": "number", "maximum": 5}, 0),
        ("confidence", {"type": "number", "minimum": 0, "maximum": 1}, 0.9),
        ("confidence", {"type": "integer", "minimum": 0, "maximum": 100}, 90),
        ("score", {"type": "number", "maximum": 0.4}, 0.4),
        ("source", {"type": "integer"}, 1),
        ("patientId", {"type": ["string", "null"]}, None),
        ("patientId", STRING, "Not documented in the sources given."),
        ("note", {"anyOf": [{"type": "null"}, STRING]}, "Value: 8.2 %"),
        ("kind", {"const": "lab"}, "lab"),
        ("kind", {"enum": ["drug", "value", "other"]}, "value"),
        ("kind", {"enum": ["drug", "other"]}, "drug"),
        ("kind", {"enum": [None, "drug"]}, None),
        ("found", {"type": "boolean"}, True),
        ("unanswerable", {"type": "boolean"}, False),
        ("notFound", {"type": "boolean"}, False),
        ("requiresApproval", {"type": "boolean"}, False),
        ("facts", {"type": "array", "items": STRING}, ["Value: 8.2 %"]),
        ("citations", {"type": "array", "items": {"enum": ["S2", "S1"]}}, ["S1"]),
        ("sources", {"type": "array", "items": prompts.an_object(quote=STRING)}, None),
    ],
)
def test_a_property(name: str, wanted: dict[str, Any], expected: Any) -> None:
    """What stands in a property is told by its type, its bounds, its name and its description."""
    source = ("Observation | 2024-02-03 | Hemoglobin A1c", "Value: 8.2 %")
    made = _answer(prompts.an_object(**{name: wanted}), "Hemoglobin A1c?", [source])
    expected = [{"quote": "Value: 8.2 %"}] if name == "sources" else expected
    assert made == {name: expected}


@pytest.mark.parametrize("length", [2, 3, 4, 5])
def test_lengths_count_as_javascript_counts(length: int) -> None:
    """A character of two UTF-16 units counts twice where a text must not be longer."""
    wanted = prompts.an_object(text={"type": "string", "minLength": 2, "maxLength": length})
    made = _answer(wanted, "Write.", [("Note", "a\U0001f600b\U0001f600")])
    assert json_schema.faults(made, wanted) == []


def test_what_may_be_missing_is_left_out() -> None:
    """An optional property is there only where a source bears it."""
    wanted = prompts.an_object(text=STRING) | {"required": ["text"]}
    optional = {
        "code": {"type": "string", "pattern": r"^[A-Z]\d\d$"},
        "patientId": STRING,
        "flag": {"type": "boolean"},
        "quote": STRING,
    }
    wanted["properties"] = wanted["properties"] | optional
    assert _answer(wanted, "Fever?", [("Note", "Fever.")]) == {"text": "Fever.", "quote": "Fever."}


@pytest.mark.parametrize(
    "wanted",
    [
        {"type": "string", "pattern": "a", "maxLength": 0},
        {"type": "string", "pattern": "^(?=a)b$"},
        {"type": "integer", "minimum": 0.2, "maximum": 0.8},
        {"enum": ["a", "b"], "maxLength": 0},
        {"type": "object", "required": ["a"], "additionalProperties": False},
        {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "(?!)"}},
    ],
)
def test_what_cannot_be(wanted: dict[str, Any]) -> None:
    """A schema that nothing conforms to is refused, and named by the property."""
    with pytest.raises(UnfillableError) as caught:
        _answer(prompts.an_object(x=wanted), "Fever?")
    assert caught.value.param == "response_format"


_names = st.sampled_from(
    [
        *("text", "evidence", "citations", "sourceId", "confidence", "answerable", "patientId"),
        *("code", "date", "items", "plan", "größe", "x"),
    ]
)
_strings = st.one_of(
    st.tuples(st.integers(0, 40), st.integers(0, 40)).map(
        lambda both: {"type": "string", "minLength": min(both), "maxLength": max(both)}
    ),
    st.sampled_from([r"^[A-Z]\d\d(\.\d)?$", r"^S\d+$", r"^\d{5}$", r"\S", "^[a-z-]+$"]).map(
        lambda one: {"type": "string", "pattern": one}
    ),
    st.lists(st.sampled_from(["fever", "high", "S1", "none", ""]), min_size=1, max_size=3).map(
        lambda some: {"type": "string", "enum": some}
    ),
)
_numbers = st.tuples(
    st.sampled_from(["integer", "number"]), st.integers(-50, 150), st.integers(0, 99)
).map(lambda one: {"type": one[0], "minimum": one[1], "maximum": one[1] + one[2]})
_leaves = st.one_of(
    _strings,
    _numbers,
    st.just({"type": "boolean"}),
    st.just({"type": ["string", "null"]}),
    st.just({}),
    st.sampled_from([None, 3, "x", [1], {"a": True}]).map(lambda one: {"const": one}),
)


@st.composite
def _objects(draw: st.DrawFn, inside: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    properties = draw(st.dictionaries(_names, inside, max_size=4))
    required = [name for name in properties if draw(st.booleans())]
    closed = draw(st.sampled_from([False, True, {"type": "number"}]))
    made = {"type": "object", "properties": properties, "required": required}
    return made | {"additionalProperties": closed}


@st.composite
def _arrays(draw: st.DrawFn, inside: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    low = draw(st.integers(0, 3))
    bounds = {"minItems": low, "maxItems": low + draw(st.integers(0, 4))}
    return {"type": "array", "items": draw(inside)} | bounds


_schemas = st.recursive(
    _leaves,
    lambda inside: st.one_of(
        _objects(inside),
        _arrays(inside),
        st.lists(inside, min_size=1, max_size=3).map(lambda some: {"anyOf": some}),
        inside.map(lambda one: {"anyOf": [one, {"type": "null"}], "description": "Verbatim."}),
    ),
    max_leaves=8,
)
_pieces = st.sampled_from([*'abF \n.:?-[]{}#"é語😀', "E11.9 ", "99213", "8.2 %", "Plan: ", "S1"])
_texts = st.lists(_pieces, max_size=60).map("".join)
_sources = st.lists(st.tuples(_texts.map(lambda one: one.replace("\n", " ")), _texts), max_size=4)
_manners = st.sampled_from([HONEST, Manner(eager=True), Manner(eager=True, invents=True)])


@given(_schemas, _sources, _texts, _manners, st.sampled_from([None, "health_check"]))
def test_whatever_is_asked_conforms(
    wanted: dict[str, Any],
    sources: list[prompts.Block],
    question: str,
    manner: Manner,
    task: str | None,
) -> None:
    """Any schema of the subset, with any sources, is answered by an instance, always the same."""
    schema.check(wanted, "schema")
    made = _answer(wanted, question, sources, task, manner)
    assert json_schema.faults(made, wanted) == []
    assert schema.conforms(made, wanted)
    assert _answer(wanted, question, sources, task, manner) == made
