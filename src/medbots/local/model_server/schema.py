"""The part of JSON Schema in which an answer can be asked for: is it one, does a value conform."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from medbots.local.model_server import body, pattern

Schema = Mapping[str, Any]

TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
_DEEPEST = 20
_MOST_AT_LEAST = 1_000
"""Items or characters that a schema may insist on."""
_NOTES = frozenset(
    {
        *("title", "description", "default", "examples", "format", "deprecated", "readOnly"),
        *("$schema", "$id", "$comment"),
    }
)
"""What says something about a value and asks nothing of it."""
_OF_TYPE = (
    ("properties", "object"),
    ("required", "object"),
    ("additionalProperties", "object"),
    ("items", "array"),
    ("minItems", "array"),
    ("maxItems", "array"),
    ("minLength", "string"),
    ("maxLength", "string"),
    ("pattern", "string"),
    ("minimum", "number"),
    ("maximum", "number"),
)
"""Keywords, and the type of the values that they are about."""


def check(given: Any, where: str) -> None:
    """Refuse what is no schema, or one of another subset.

    Raises:
        body.RequestError: with the path below `where`.
    """
    _check(given, where, 0)


def conforms(value: Any, schema: Schema) -> bool:
    """Return whether a value is as a checked schema asks."""
    if "const" in schema and not same(value, schema["const"]):
        return False
    if "enum" in schema and not any(same(value, one) for one in schema["enum"]):
        return False
    if "anyOf" in schema and not any(conforms(value, one) for one in schema["anyOf"]):
        return False
    if "type" in schema and not any(_is(value, one) for one in named_types(schema)):
        return False
    match value:
        case str():
            return _string_conforms(value, schema)
        case list():
            return _array_conforms(value, schema)
        case dict():
            return _object_conforms(value, schema)
        case bool() | None:
            return True
        case _:
            return bool(
                schema.get("minimum", -math.inf) <= value <= schema.get("maximum", math.inf)
            )


def same(one: Any, other: Any) -> bool:
    """Return whether two values are equal as JSON: true is not 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def named_types(schema: Schema) -> Sequence[str]:
    """Return the types that a schema names, or the one that its keywords are about."""
    given = schema.get("type")
    if given is None:
        return [next((kind for keyword, kind in _OF_TYPE if keyword in schema), "string")]
    return [given] if isinstance(given, str) else given


def branches(schema: Schema) -> list[Schema]:
    """Return the schemas of one type each that a schema offers; null is the last.

    What stands beside `anyOf` goes into each of them; what a branch says itself goes before.
    """
    if "const" in schema or "enum" in schema:
        return [schema]
    if "anyOf" in schema:
        beside = {name: value for name, value in schema.items() if name != "anyOf"}
        found = [each for one in schema["anyOf"] for each in branches({**beside, **one})]
    else:
        found = [{**schema, "type": one} for one in named_types(schema)]
    return sorted(found, key=lambda one: one.get("type") == "null")


def of_type(schema: Schema, kind: str) -> Schema | None:
    """Return the branch that leaves a value of a type open; None where there is none."""
    return next((one for one in branches(schema) if one.get("type") == kind and _open(one)), None)


def branch_of(value: Any, schema: Schema) -> Schema:
    """Return the branch that a value is of; the whole schema where it is of none."""
    return next((one for one in branches(schema) if conforms(value, one)), schema)


def _open(schema: Schema) -> bool:
    return "const" not in schema and "enum" not in schema


def _check(given: Any, where: str, depth: int) -> None:
    if not isinstance(given, dict):
        raise body.RequestError(f"'{where}' must be an object", where)
    if depth > _DEEPEST:
        raise body.RequestError(f"'{where}' is nested more than {_DEEPEST} deep", where)
    for keyword, value in given.items():
        if keyword in _NOTES:
            continue
        if keyword not in _RULES:
            raise body.RequestError(
                f"'{where}': {keyword!r} is not supported by this stand-in", where
            )
        said = _RULES[keyword](value)
        if said:
            raise body.RequestError(f"'{where}.{keyword}' {said}", where)
    if "pattern" in given:
        pattern.compiled(given["pattern"], f"{where}.pattern")
    for path, inside in _inside(given):
        _check(inside, f"{where}.{path}", depth + 1)


def _inside(given: Schema) -> list[tuple[str, Any]]:
    found = [(f"properties.{name}", one) for name, one in given.get("properties", {}).items()]
    found += [(f"anyOf[{index}]", one) for index, one in enumerate(given.get("anyOf", ()))]
    if "items" in given:
        found.append(("items", given["items"]))
    if isinstance(given.get("additionalProperties"), dict):
        found.append(("additionalProperties", given["additionalProperties"]))
    return found


def _unlike(right: Callable[[Any], bool], said: str) -> Callable[[Any], str]:
    return lambda value: "" if right(value) else f"must be {said}"


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    finite = isinstance(value, int | float) and not isinstance(value, bool)
    return finite and math.isfinite(value)


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_types(value: Any) -> bool:
    named = [value] if isinstance(value, str) else value
    return bool(named) and _is_names(named) and all(one in TYPES for one in named)


def _is_filled_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_object_or_boolean(value: Any) -> bool:
    return isinstance(value, dict | bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_COUNT = _unlike(_is_count, "a whole number from 0")
_LEAST = _unlike(
    lambda value: _is_count(value) and value <= _MOST_AT_LEAST,
    f"a whole number from 0 to {_MOST_AT_LEAST}",
)
_NUMBER = _unlike(_is_number, "a number")
_LIST = _unlike(_is_filled_list, "a list that is not empty")
_OBJECT = _unlike(_is_object, "an object")
_RULES: Mapping[str, Callable[[Any], str]] = {
    "type": _unlike(_is_types, f"one or some of {', '.join(TYPES)}"),
    "properties": _OBJECT,
    "required": _unlike(_is_names, "a list of names"),
    "additionalProperties": _unlike(_is_object_or_boolean, "an object, true or false"),
    "items": _OBJECT,
    "enum": _LIST,
    "const": lambda _: "",
    "anyOf": _LIST,
    "minItems": _LEAST,
    "maxItems": _COUNT,
    "minLength": _LEAST,
    "maxLength": _COUNT,
    "pattern": _unlike(_is_text, "a string"),
    "minimum": _NUMBER,
    "maximum": _NUMBER,
}
"""What each keyword's value must be; the answer is empty where it is right."""


def _is(value: Any, kind: str) -> bool:
    match kind:
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "integer":
            return _is_number(value) and value == int(value)
        case "number":
            return _is_number(value)
        case "boolean":
            return isinstance(value, bool)
        case _:
            return value is None


def _string_conforms(value: str, schema: Schema) -> bool:
    wanted = schema.get("pattern")
    if wanted is not None and not pattern.compiled(wanted).search(value):
        return False
    return bool(schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", math.inf))


def _array_conforms(value: list[Any], schema: Schema) -> bool:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf):
        return False
    return all(conforms(one, schema.get("items", {})) for one in value)


def _object_conforms(value: dict[str, Any], schema: Schema) -> bool:
    if any(name not in value for name in schema.get("required", ())):
        return False
    properties = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    for name, one in value.items():
        wanted = properties.get(name, {} if others is True else others)
        if wanted is False or not conforms(one, wanted):
            return False
    return True
