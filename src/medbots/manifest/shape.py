"""Shapes of values: each can read a node of a document, and describe itself as JSON Schema."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from medbots import errors
from medbots.manifest import document

INVALID: Any = object()
"""What `read` returns in place of a value that it had to report."""

Report = list[errors.Problem]


class Shape(Protocol):
    """What a value must look like."""

    def read(self, node: document.Node, path: str, report: Report) -> Any:
        """Return the plain value, or INVALID after adding to `report` why it is none."""
        ...

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of this shape."""
        ...

    def words(self) -> str:
        """Return the shape in words, for the reference page."""
        ...


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?` for the known name nearest to `name`, or nothing."""
    names = list(known)
    folded = {one.lower(): one for one in names}
    close = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    return f"; did you mean {folded[close[0]]!r}?" if close else ""


@dataclass(frozen=True, slots=True)
class Text:
    """Text, perhaps of a pattern."""

    what: str = "text"
    pattern: str | None = None
    judge: Callable[[str], str | None] | None = None
    """Returns what is wrong with a value beyond its pattern."""

    def read(self, node: document.Node, path: str, report: Report) -> Any:
        """Return the text."""
        value = node.value
        if not isinstance(value, str):
            quotes = "" if isinstance(value, list | dict | None) else "; put it in quotes"
            return _wrong(node, path, report, f"expected {self.what}, got {node.kind}{quotes}")
        if not value.strip():
            return _wrong(node, path, report, f"expected {self.what}, got empty text")
        if self.pattern and not re.fullmatch(self.pattern, value):
            return _wrong(node, path, report, f"expected {self.what}, got {document.shown(value)}")
        wrong = self.judge(value) if self.judge else None
        return _wrong(node, path, report, wrong) if wrong else value

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        schema: dict[str, Any] = {"type": "string", "minLength": 1}
        return schema | ({"pattern": f"^(?:{self.pattern})$"} if self.pattern else {})

    def words(self) -> str:
        """Return the shape in words."""
        return self.what


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number within limits."""

    minimum: int
    maximum: int

    def read(self, node: document.Node, path: str, report: Report) -> Any:
        """Return the number."""
        value = node.value
        if not isinstance(value, int) or isinstance(value, bool):
            return _wrong(node, path, report, f"expected {self.words()}, got {node.kind}")
        if not self.minimum <= value <= self.maximum:
            return _wrong(node, path, report, f"expected {self.words()}, got {value}")
        return value

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}

    def words(self) -> str:
        """Return the shape in words."""
        return f"a whole number from {self.minimum} to {self.maximum}"


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    def read(self, node: document.Node, path: str, report: Report) -> Any:
        """Return the boolean."""
        if not isinstance(node.value, bool):
            return _wrong(node, path, report, f"expected true or false, got {node.kind}")
        return node.value

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return {"type": "boolean"}

    def words(self) -> str:
        """Return the shape in words."""
        return "true or false"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values."""

    values: tuple[str | int, ...]
    remark: str = ""
    """Said to whoever gives something else."""

    def read(self, node: document.Node, path: str, report: Report) -> Any:
        """Return the chosen value."""
        value = node.value
        known = isinstance(value, str | int) and not isinstance(value, bool)
        if known and value in self.values:
            return value
        texts = [one for one in self.values if isinstance(one, str)]
        hint = nearest(value, texts) if isinstance(value, str) else ""
        remark = f"; {self.remark}" if self.remark else ""
        said = f"expected {self.words()}, got {node.kind}{hint}{remark}"
        return _wrong(node, path, report, said)

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return {"const": self.values[0]} if len(self.values) == 1 else {"enum": list(self.values)}

    def words(self) -> str:
        """Return the shape in words."""
        names = [str(one) for one in self.values]
        if len(names) == 1:
            return names[0]
        return f"{', '.join(names[:-1])} or {names[-1]}"


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of values of one shape."""

    item: Shape
    unique: bool = True

    def read(self, node: document.Node, path: str, report: Report) -> Any:
        """Return a tuple of the items that can be read."""
        if not isinstance(node.value, list):
            return _wrong(node, path, report, f"expected a list, got {node.kind}")
        items: list[Any] = []
        for index, child in enumerate(node.value):
            where = document.join(path, index)
            item = self.item.read(child, where, report)
            if item is INVALID:
                continue
            if self.unique and item in items:
                _wrong(child, where, report, f"{item!r} stands twice")
                continue
            items.append(item)
        return tuple(items)

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        unique = {"uniqueItems": True} if self.unique else {}
        return {"type": "array", "items": self.item.schema(), **unique}

    def words(self) -> str:
        """Return the shape in words."""
        return f"a list: {self.item.words()}"


@dataclass(frozen=True, slots=True)
class MapOf:
    """A mapping of keys that the user names to values of one shape."""

    key_what: str
    key_pattern: str
    value: Shape

    def read(self, node: document.Node, path: str, report: Report) -> Any:
        """Return a dict of the entries that can be read."""
        if not isinstance(node.value, dict):
            return _wrong(node, path, report, f"expected a mapping, got {node.kind}")
        entries: dict[str, Any] = {}
        for key, child in node.value.items():
            where = document.join(path, key)
            if not re.fullmatch(self.key_pattern, key):
                said = f"{document.shown(key)} is no {self.key_what}"
                report.append(errors.Problem(where, said, node.key_lines.get(key, node.line)))
                continue
            value = self.value.read(child, where, report)
            if value is not INVALID:
                entries[key] = value
        return entries

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        names = {"pattern": f"^(?:{self.key_pattern})$"}
        return {
            "type": "object",
            "propertyNames": names,
            "additionalProperties": self.value.schema(),
        }

    def words(self) -> str:
        """Return the shape in words."""
        return f"a mapping by {self.key_what}"


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a record."""

    doc: str
    shape: Shape
    required: bool = False
    default: Any = None
    """What an absent key means; also shown in the reference."""


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping whose keys are given."""

    doc: str
    fields: Mapping[str, Field]
    extensions: bool = False
    """Whether keys that begin with `x-` are left to the user, as a place for anchors."""

    def read(self, node: document.Node, path: str, report: Report) -> Any:
        """Return a dict of what the file gives and could be read; other keys are absent."""
        if not isinstance(node.value, dict):
            return _wrong(node, path, report, f"expected a mapping, got {node.kind}")
        values: dict[str, Any] = {}
        for key, child in node.value.items():
            field = self.fields.get(key)
            if field is not None:
                value = field.shape.read(child, document.join(path, key), report)
                if value is not INVALID:
                    values[key] = value
            elif not (self.extensions and key.startswith("x-")):
                said = f"unknown key{nearest(key, self.fields)}"
                where = document.join(path, key)
                report.append(errors.Problem(where, said, node.key_lines.get(key, node.line)))
        for key, field in self.fields.items():
            if field.required and key not in node.value:
                where = document.join(path, key)
                report.append(errors.Problem(where, "missing", node.line))
        return values

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        properties = {}
        for key, field in self.fields.items():
            default = {} if field.default is None else {"default": field.default}
            properties[key] = {"description": field.doc, **default, **field.shape.schema()}
        return {
            "type": "object",
            "properties": properties,
            "required": [key for key, field in self.fields.items() if field.required],
            "additionalProperties": False,
            **({"patternProperties": {"^x-": {}}} if self.extensions else {}),
        }

    def words(self) -> str:
        """Return the shape in words."""
        return "a mapping"


def _wrong(node: document.Node, path: str, report: Report, said: str) -> Any:
    report.append(errors.Problem(path, said, node.line))
    return INVALID
