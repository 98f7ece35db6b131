"""A checker of JSON Schema for tests, independent of the one under test."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def faults(value: Any, schema: dict[str, Any], path: str = "$") -> list[str]:
    """Return where a value breaks a schema; an empty list where it conforms."""
    rules = {
        "type": _is_one_of(value, schema.get("type", list(_KINDS))),
        "anyOf": "anyOf" not in schema or any(not faults(value, one) for one in schema["anyOf"]),
        "const": json.dumps(value) == json.dumps(schema.get("const", value)),
        "enum": json.dumps(value) in [json.dumps(one) for one in schema.get("enum", [value])],
    }
    by_type = {
        str: _of_string,
        list: _of_array,
        dict: _of_object,
        int: _of_number,
        float: _of_number,
    }
    of_type = by_type.get(type(value), lambda *_: {})
    broken = [
        f"{path}: {rule}" for rule, holds in (rules | of_type(value, schema)).items() if not holds
    ]
    inside = (faults(one, wanted, f"{path}.{name}") for name, one, wanted in _inside(value, schema))
    return [*broken, *(each for found in inside for each in found)]


def _of_string(value: str, schema: dict[str, Any]) -> dict[str, bool]:
    # In the units that JavaScript counts, which are never fewer than characters.
    units = len(value.encode("utf-16-le")) // 2
    return {
        "minLength": len(value) >= schema.get("minLength", 0),
        "maxLength": units <= schema.get("maxLength", units),
        "pattern": re.search(schema.get("pattern", ""), value) is not None,
    }


def _of_array(value: list[Any], schema: dict[str, Any]) -> dict[str, bool]:
    return {
        "minItems": len(value) >= schema.get("minItems", 0),
        "maxItems": len(value) <= schema.get("maxItems", len(value)),
    }


def _of_object(value: dict[str, Any], schema: dict[str, Any]) -> dict[str, bool]:
    unknown = set(value) - set(schema.get("properties", {}))
    return {
        "required": set(schema.get("required", [])) <= set(value),
        "additionalProperties": not unknown
        or schema.get("additionalProperties", True) is not False,
    }


def _of_number(value: float, schema: dict[str, Any]) -> dict[str, bool]:
    return {
        "minimum": value >= schema.get("minimum", value),
        "maximum": value <= schema.get("maximum", value),
    }


def _inside(value: Any, schema: dict[str, Any]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    if isinstance(value, list):
        for index, one in enumerate(value):
            yield str(index), one, schema.get("items", {})
    if isinstance(value, dict):
        others = schema.get("additionalProperties", {})
        for name, one in value.items():
            wanted = schema.get("properties", {}).get(name, others)
            yield name, one, wanted if isinstance(wanted, dict) else {}


def _is_one_of(value: Any, kinds: str | list[str]) -> bool:
    named = [kinds] if isinstance(kinds, str) else kinds
    if isinstance(value, bool):
        return "boolean" in named
    return any(isinstance(value, _KINDS[kind]) for kind in named)
