"""YAML text as a tree of values that know their line, with every fault of the text itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from medbots import errors

_MAX_BYTES = 1_000_000
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(slots=True)
class Node:
    """One value of the document."""

    value: Any
    """A scalar, a list of Nodes, or a mapping of text to Nodes."""
    line: int
    """1-based."""
    key_lines: dict[str, int] = field(default_factory=dict)
    """Of a mapping: the line of each key."""

    @property
    def kind(self) -> str:
        """Return what the value is, in words for a message."""
        match self.value:
            case None:
                return "nothing"
            case bool():
                return "true" if self.value else "false"
            case int() | float():
                return f"the number {self.value}"
            case str():
                return f"the text {shown(self.value)}"
            case list():
                return "a list"
            case dict():
                return "a mapping"
            case dt.date():
                return "a date"
            case _:
                return f"a {type(self.value).__name__}"


def shown(text: str) -> str:
    """Return a value in quotes, cut where it is long."""
    return repr(text if len(text) <= 80 else text[:79] + "…")  # noqa: PLR2004


def join(path: str, key: str | int) -> str:
    """Return the dotted path of a child."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def parse(raw: bytes) -> tuple[Node | None, list[errors.Problem]]:
    """Return the document and what is wrong with it as YAML.

    The document is None when the text cannot be read at all. A key that stands twice is a
    problem; its last value is kept, so that the rest can be judged too.
    """
    if len(raw) > _MAX_BYTES:
        return None, [errors.Problem("", f"larger than {_MAX_BYTES:,} bytes")]
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return None, [errors.Problem("", "not UTF-8 text", line)]
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None:
            return None, [errors.Problem("", "the file is empty", 1)]
        reader = _Reader(loader)
        return reader.node(root, ""), reader.problems
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = (error.problem or error.context or "cannot be read").strip()
        return None, [errors.Problem("", f"not YAML: {said}", mark.line + 1 if mark else None)]
    except yaml.YAMLError as error:
        said = str(error).splitlines()[0]
        return None, [errors.Problem("", f"not YAML: {said}", _reader_line(error, text))]
    except RecursionError:
        return None, [errors.Problem("", "nested too deeply")]


def _reader_line(error: yaml.YAMLError, text: str) -> int | None:
    position = getattr(error, "position", None)
    return text.count("\n", 0, position) + 1 if isinstance(position, int) else None


class _Reader:
    """Turns YAML nodes into Nodes; an alias is read once, and may not contain itself."""

    def __init__(self, loader: yaml.SafeLoader) -> None:
        self.loader = loader
        self.problems: list[errors.Problem] = []
        self._read: dict[int, Node] = {}
        self._open: set[int] = set()

    def node(self, source: yaml.Node, path: str) -> Node:
        known = self._read.get(id(source))
        if known is not None:
            return known
        line = source.start_mark.line + 1
        if id(source) in self._open:
            self.problems.append(errors.Problem(path, "an alias that contains itself", line))
            return Node(None, line)
        self._open.add(id(source))
        result = self._convert(source, path, line)
        self._open.discard(id(source))
        self._read[id(source)] = result
        return result

    def _convert(self, source: yaml.Node, path: str, line: int) -> Node:
        if isinstance(source, yaml.SequenceNode):
            items = enumerate(source.value)
            return Node([self.node(item, join(path, index)) for index, item in items], line)
        if isinstance(source, yaml.MappingNode):
            return self._mapping(source, path, line)
        try:
            return Node(self.loader.construct_object(source), line)
        except (yaml.YAMLError, ValueError) as error:
            said = getattr(error, "problem", None) or str(error)
            self.problems.append(errors.Problem(path, f"not a value: {said}", line))
            return Node(None, line)

    def _mapping(self, source: yaml.MappingNode, path: str, line: int) -> Node:
        self._report_doubles(source, path)
        self.loader.flatten_mapping(source)
        values: dict[str, Node] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in source.value:
            key = self._key(key_node, path)
            if key is not None:
                values[key] = self.node(value_node, join(path, key))
                lines[key] = key_node.start_mark.line + 1
        return Node(values, line, lines)

    def _key(self, source: yaml.Node, path: str) -> str | None:
        line = source.start_mark.line + 1
        if not isinstance(source, yaml.ScalarNode):
            self.problems.append(errors.Problem(path, "a key must be text", line))
            return None
        return str(source.value)

    def _report_doubles(self, source: yaml.MappingNode, path: str) -> None:
        first: dict[str, int] = {}
        for key_node, line in _own_keys(source):
            if key_node in first:
                self.problems.append(
                    errors.Problem(
                        join(path, key_node), f"stands twice, first in line {first[key_node]}", line
                    )
                )
            first.setdefault(key_node, line)


def _own_keys(source: yaml.MappingNode) -> Iterator[tuple[str, int]]:
    for key, _ in source.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
            yield str(key.value), key.start_mark.line + 1
