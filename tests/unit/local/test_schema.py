"""Which JSON Schemas are taken, and what conforms to them."""

from __future__ import annotations

from typing import Any

import pytest

from medbots.local.model_server import body, schema

NESTED: dict[str, Any] = {"type": "string"}
for _ in range(30):
    NESTED = {"type": "array", "items": NESTED}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "'s' must be an object"),
        ({"type": "text"}, "'s.type' must be one or some of object, array"),
        ({"type": []}, "'s.type'"),
        ({"properties": []}, "'s.properties' must be an object"),
        ({"properties": {"a": {"type": "x"}}}, "'s.properties.a.type'"),
        ({"required": "a"}, "'s.required' must be a list of names"),
        ({"items": [{"type": "string"}]}, "'s.items' must be an object"),
        ({"items": {"minItems": -1}}, "'s.items.minItems' must be a whole number from 0"),
        ({"minLength": 1001}, "'s.minLength' must be a whole number from 0 to 1000"),
        ({"enum": []}, "'s.enum' must be a list that is not empty"),
        ({"minimum": "3"}, "'s.minimum' must be a number"),
        ({"maximum": True}, "'s.maximum' must be a number"),
        ({"pattern": "["}, "'s.pattern' is no pattern"),
        ({"pattern": 3}, "'s.pattern' must be a string"),
        ({"anyOf": [{"oneOf": []}]}, "'s.anyOf[0]': 'oneOf' is not supported"),
        ({"additionalProperties": {"$ref": "#"}}, "'$ref' is not supported"),
        ({"additionalProperties": "no"}, "must be an object, true or false"),
        (NESTED, "nested more than 20 deep"),
    ],
)
def test_what_is_refused(given: Any, said: str) -> None:
    """A schema that is none, or asks for what is not known here, is refused with its path."""
    with pytest.raises(body.RequestError) as caught:
        schema.check(given, "s")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("value", "wanted", "conforms"),
    [
        (True, {"type": "integer"}, False),
        (True, {"const": 1}, False),
        (1, {"enum": [True]}, False),
        (1.0, {"type": "integer"}, True),
        (1.5, {"type": "integer"}, False),
        (None, {"type": ["string", "null"]}, True),
        (None, {"anyOf": [{"type": "string"}, {"type": "null"}]}, True),
        (3, {"anyOf": [{"type": "string"}, {"type": "null"}]}, False),
        ("E11.9", {"pattern": r"^[A-Z]\d\d(\.\d)?$"}, True),
        ("x E11.9", {"pattern": r"^[A-Z]\d\d(\.\d)?$"}, False),
        ("abc", {"maxLength": 2}, False),
        ("abc", {"minLength": 4}, False),
        ([1], {"items": {"type": "string"}}, False),
        ([1, 2], {"maxItems": 1}, False),
        ({}, {"required": ["a"]}, False),
        ({"a": 1}, {"additionalProperties": False}, False),
        ({"a": 1}, {"additionalProperties": {"type": "string"}}, False),
        ({"a": "x"}, {"properties": {"a": {}}, "additionalProperties": False}, True),
        (0.9, {"maximum": 0.8}, False),
        (2, {"minimum": 3}, False),
    ],
)
def test_what_conforms(value: Any, wanted: schema.Schema, conforms: bool) -> None:
    """Values are held to their schema as JSON Schema says: true is no number, 1.0 is whole."""
    assert schema.conforms(value, wanted) is conforms


def test_branches() -> None:
    """A schema of several types is one of each; null is the last, what stands beside is kept."""
    wanted = {"anyOf": [{"type": ["null", "string"]}, {"maximum": 3}], "description": "x"}
    assert schema.branches(wanted) == [
        {"type": "string", "description": "x"},
        {"type": "number", "description": "x", "maximum": 3},
        {"type": "null", "description": "x"},
    ]
