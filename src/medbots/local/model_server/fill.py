"""An answer that conforms to a JSON Schema, made of what the sources say and nothing else.

The schema alone decides. A list of objects gets one object for each passage that is near the
question, or for each code that its pattern finds; what an object must have and the sources do not
is said to be not documented, and what it may have is left out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from medbots.local.model_server import evidence, leaves, passages, pattern, roles, schema
from medbots.local.model_server.place import Filled, Ground, Manner, Place, UnfillableError

_MOST_PASSAGES = 5
"""In a list that asks for no more."""
_MOST_CODES = 20
_TOGETHER = 3
"""Passages of a text that is not in a list."""
_INVENTED = 2


def sections(wanted: schema.Schema) -> list[str]:
    """Return the names of the lists of passages that a schema has beside one another, if any."""
    names = _lists_of_passages(wanted.get("properties", {}))
    if len(names) > 1:
        return names
    inside = [found for one in wanted.get("properties", {}).values() if (found := sections(one))]
    return inside[0] if inside else []


def asks_whether(wanted: schema.Schema) -> bool:
    """Return whether an answer says of itself that there is one."""
    properties = wanted.get("properties", {})
    told = (roles.Verdict.FOUND, roles.Verdict.NOT_FOUND)
    return any(
        schema.of_type(one, "boolean") and roles.verdict(name) in told
        for name, one in properties.items()
    )


def fill(wanted: schema.Schema, found: evidence.Evidence, manner: Manner) -> Any:
    """Return an answer that conforms to a checked schema.

    Raises:
        UnfillableError: the schema asks for what cannot be, or what this stand-in does not find.
    """
    ground = Ground(found.in_order(found.near[:_TOGETHER]))
    return _Filler(found, manner).value(wanted, Place(ground=ground)).value


class _Filler:
    def __init__(self, found: evidence.Evidence, manner: Manner) -> None:
        self._found = found
        self._manner = manner

    def value(self, wanted: schema.Schema, place: Place) -> Filled:
        """Return the first branch of the schema that stands on a source; else null; else any."""
        spare: Filled | None = None
        problem = UnfillableError(place.name)
        for branch in schema.branches(wanted):
            try:
                made = self._of_branch(branch, place)
            except UnfillableError as error:
                problem = error
                continue
            if not schema.conforms(made.value, wanted):
                continue
            if made.grounded:
                return made
            spare = made if spare is None or made.value is None else spare
        if spare is None:
            raise problem
        return spare

    def _of_branch(self, wanted: schema.Schema, place: Place) -> Filled:
        if "const" in wanted:
            return Filled(wanted["const"], grounded=False)
        if "enum" in wanted:
            return leaves.enumerated(wanted, place, self._found)
        match wanted["type"]:
            case "object":
                return self._object(wanted, place)
            case "array":
                return self._array(wanted, place)
            case "string":
                return leaves.string(wanted, place, self._found, self._manner)
            case "integer" | "number":
                return leaves.number(wanted, place, self._found)
            case "boolean":
                return leaves.boolean(place, self._found)
            case _:
                return Filled(None, grounded=False)

    def _object(self, wanted: schema.Schema, place: Place) -> Filled:
        properties: Mapping[str, schema.Schema] = wanted.get("properties", {})
        required = wanted.get("required", ())
        texts = [name for name, one in properties.items() if _is_text(name, one)]
        label = texts[0] if len(texts) > 1 else None
        shares = place.shares if place.ground.is_item else self._shares(properties)
        made: dict[str, Any] = {}
        grounded = False
        has_codes = True
        for name, one in properties.items():
            inside = replace(place, name=name, is_label=name == label, shares=shares)
            try:
                filled = self.value(one, inside)
            except UnfillableError:
                if name in required:
                    raise
                continue
            if filled.grounded or name in required:
                made[name] = filled.value
                grounded |= filled.grounded
                # Without the code that it must have, the object says nothing.
                has_codes &= filled.grounded or pattern.driver(one) is None
        others = wanted.get("additionalProperties", True)
        for name in required:
            if name not in made:
                if others is False:
                    raise UnfillableError(name)
                inside = replace(place, name=name)
                made[name] = self.value({} if others is True else others, inside).value
        return Filled(made, grounded and has_codes)

    def _array(self, wanted: schema.Schema, place: Place) -> Filled:
        items = wanted.get("items", {})
        low = wanted.get("minItems", 0)
        high = min(wanted.get("maxItems", math.inf), max(_MOST_CODES, low))
        values: list[Any] = []
        for ground in self._grounds(items, place, max(_MOST_PASSAGES, low)):
            if len(values) >= high:
                break
            try:
                made = self.value(items, Place(place.name, ground))
            except UnfillableError:
                continue
            if made.grounded and not any(schema.same(made.value, one) for one in values):
                values.append(made.value)
        grounded = bool(values)
        while len(values) < low:
            values.append(self.value(items, Place(place.name)).value)
        return Filled(values, grounded)

    def _grounds(self, items: schema.Schema, place: Place, most: int) -> Iterator[Ground]:
        """Give what each item of a list stands on."""
        own = place.ground.passages
        code = pattern.driver(items)
        if roles.of(place.name, items) is roles.Role.CITATION and code is None:
            by_source = {one.source.id: one for one in reversed(own)}
            for one in reversed(by_source.values()):
                yield Ground((one,), is_item=True)
        elif code is not None:
            yield from self._codes(code, own if place.ground.is_item else None)
        elif place.ground.is_item:
            for one in own:
                yield Ground((one,), is_item=True)
        else:
            chosen = place.shares.get(place.name, self._found.near)[:most]
            for one in self._found.in_order(chosen):
                yield Ground((one,), is_item=True)

    def _codes(self, code: str, own: Sequence[passages.Passage] | None) -> Iterator[Ground]:
        if self._manner.invents:
            made = pattern.invented(code, self._found.text)
            for each in itertools.islice(made, _INVENTED):
                yield Ground(self._found.near[:1], each, is_item=True)
            return
        holders: dict[str, list[passages.Passage]] = {}
        for passage in self._found.usable if own is None else own:
            for each in pattern.matches(code, passage.raw):
                holders.setdefault(each, []).append(passage)
        for each, those in holders.items():
            yield Ground(tuple(those), each, is_item=True)

    def _shares(
        self, properties: Mapping[str, schema.Schema]
    ) -> Mapping[str, tuple[passages.Passage, ...]]:
        """Return the passages of each of several lists: those that stand under its name.

        Where no passage stands under any of the names, they are dealt out by turns.
        """
        names = _lists_of_passages(properties)
        if len(names) < 2 or self._manner.everywhere:  # noqa: PLR2004
            return {}
        owned = {
            name: tuple(one for one in self._found.usable if one.stands_under(name))
            for name in names
        }
        if any(owned.values()):
            return owned
        near = self._found.near
        return {name: near[turn :: len(names)] for turn, name in enumerate(names)}


def _lists_of_passages(properties: Mapping[str, schema.Schema]) -> list[str]:
    """Return the names of the lists whose items are passages, not codes or citations."""
    found = []
    for name, one in properties.items():
        array = schema.of_type(one, "array")
        if array is None:
            continue
        items = array.get("items", {})
        fixed = "enum" in items or "const" in items or pattern.driver(items)
        if not fixed and roles.of(name, items) is not roles.Role.CITATION:
            found.append(name)
    return found


def _is_text(name: str, wanted: schema.Schema) -> bool:
    string = schema.of_type(wanted, "string")
    if string is None or pattern.kind(string) is not pattern.Kind.PROSE:
        return False
    return roles.of(name, string) is roles.Role.TEXT
