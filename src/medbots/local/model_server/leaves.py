"""Strings, numbers, booleans and enumerations of an answer, taken from the sources."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator

from medbots.local.model_server import evidence, hashing, pattern, roles, schema
from medbots.local.model_server.place import Filled, Manner, Place, UnfillableError

_PAD = "Nothing more is documented."
_LABEL_WORDS = 8
_SHORTEST_WORD = 3
_LEAST_SURE, _SUREST = 0.5, 0.9
_NUMBER = re.compile(r"(?<![\w.])\d{1,15}(?:\.\d{1,15})?(?![\w.]*\d)", re.ASCII)


def string(wanted: schema.Schema, place: Place, found: evidence.Evidence, manner: Manner) -> Filled:
    """Return a string; from the sources where they have one.

    Raises:
        UnfillableError: none is found that conforms.
    """
    role = roles.of(place.name, wanted)
    is_text = role is roles.Role.TEXT and pattern.kind(wanted) is pattern.Kind.PROSE
    for text in _from_sources(role, wanted, place, found, manner):
        fitted = _padded(_shortened(text, wanted), wanted) if is_text else _shortened(text, wanted)
        if fitted and schema.conforms(fitted, wanted) and _units(fitted) <= _most(wanted):
            return Filled(fitted, grounded=True)
    for text in _without_sources(wanted, found):
        fitted = _padded(_shortened(text, wanted), wanted)
        if schema.conforms(fitted, wanted):
            return Filled(fitted, grounded=False)
    raise UnfillableError(place.name)


def enumerated(wanted: schema.Schema, place: Place, found: evidence.Evidence) -> Filled:
    """Return the value whose words occur in the passages, else in the sources; else the first.

    Raises:
        UnfillableError: no value of the enumeration conforms to the rest of the schema.
    """
    values = [value for value in wanted["enum"] if schema.conforms(value, wanted)]
    if not values:
        raise UnfillableError(place.name)
    if roles.of(place.name, wanted) is roles.Role.CITATION:
        cited = [one.source.id for one in place.ground.passages if one.source.id in values]
        return Filled((cited or values)[0], bool(cited))
    named = {value: hashing.tokens(value) for value in values if isinstance(value, str)}
    common = set.intersection(*map(set, named.values())) if len(named) > 1 else set()
    near = [part for one in place.ground.passages for part in (one.raw, one.source.header)]
    for text in (*near, found.text):
        there = set(hashing.tokens(text))
        shares = {value: _share(set(words) - common, there) for value, words in named.items()}
        best = max(shares, key=lambda value: shares[value], default=None)
        if best is not None and shares[best] > 0:
            return Filled(best, grounded=True)
    return Filled(values[0], grounded=False)


def number(wanted: schema.Schema, place: Place, found: evidence.Evidence) -> Filled:
    """Return how sure the answer is, or a number of the passages, within the bounds.

    Raises:
        UnfillableError: no number lies within them.
    """
    if roles.is_confidence(place.name):
        sure = _confidence(place, found) * max(1, wanted.get("maximum", 1))
        return Filled(_within(sure, wanted, place), grounded=True)
    for value in _numbers(place):
        if schema.conforms(value, wanted):
            return Filled(value, grounded=True)
    return Filled(_within(0, wanted, place), grounded=False)


def boolean(place: Place, found: evidence.Evidence) -> Filled:
    """Return whether the sources bear an answer, where the name asks for that; else false."""
    match roles.verdict(place.name):
        case roles.Verdict.FOUND:
            return Filled(bool(found.near), grounded=True)
        case roles.Verdict.NOT_FOUND:
            return Filled(not found.near, grounded=True)
        case roles.Verdict.WELL:
            return Filled(value=True, grounded=True)
        case roles.Verdict.OTHER:
            return Filled(value=False, grounded=False)


def _numbers(place: Place) -> Iterator[float]:
    for passage in place.ground.passages:
        if roles.of(place.name, {}) is roles.Role.CITATION:
            yield int(passage.source.id[1:])
        else:
            for text in _NUMBER.findall(passage.raw):
                yield float(text) if "." in text else int(text)


def _from_sources(
    role: roles.Role,
    wanted: schema.Schema,
    place: Place,
    found: evidence.Evidence,
    manner: Manner,
) -> Iterator[str]:
    there = place.ground.passages
    if role is roles.Role.CITATION:
        yield from (one.source.id for one in there)
    elif role is roles.Role.QUOTE:
        yield from (one.raw for one in there)
        yield from (one.source.text.strip() for one in there)
    elif pattern.kind(wanted) is not pattern.Kind.PROSE:
        yield from _codes(wanted["pattern"], place, found, manner)
    elif role is roles.Role.DATE:
        yield from (one.source.date for one in there if one.source.date)
    elif role is roles.Role.TEXT and there:
        if place.is_label:
            yield from _labels(place)
        yield " ".join(one.text for one in there)


def _codes(wanted: str, place: Place, found: evidence.Evidence, manner: Manner) -> Iterator[str]:
    if place.ground.code:
        yield place.ground.code
    if manner.invents:
        yield from itertools.islice(pattern.invented(wanted, found.text), 5)
    places = place.ground.passages if place.ground.is_item else found.usable
    for part in (*(one.raw for one in places), *(one.source.header for one in places)):
        yield from pattern.matches(wanted, part)


def _labels(place: Place) -> Iterator[str]:
    """Give what the passage calls itself: the value beside this label, its title, its start."""
    passage = place.ground.passages[0]
    name = " ".join(roles.words(place.name))
    for line in passage.raw.split("\n"):
        label, colon, value = line.partition(":")
        if colon and " ".join(roles.words(label)) == name:
            yield value.strip()
    title = passage.source.title
    if title and title.lower() in passage.raw.lower():
        yield title
    yield " ".join(passage.text.split()[:_LABEL_WORDS])


def _without_sources(wanted: schema.Schema, found: evidence.Evidence) -> Iterator[str]:
    yield found.silence
    if "pattern" in wanted:
        yield from ("not documented", "none", "")
        yield from pattern.invented(wanted["pattern"], "")


def _shortened(text: str, wanted: schema.Schema) -> str:
    """Return a text within `maxLength`, cut between words."""
    kept = sum(length <= _most(wanted) for length in itertools.accumulate(map(_units, text)))
    if kept == len(text):
        return text
    head = text[:kept]
    whole = head if text[kept].isspace() else head.rpartition(" ")[0] or head
    whole = whole.rstrip()
    return whole if len(whole) >= wanted.get("minLength", 0) else head


def _padded(text: str, wanted: schema.Schema) -> str:
    least = wanted.get("minLength", 0)
    if len(text) >= least:
        return text
    while len(text) < least:
        text = f"{text} {_PAD}".lstrip()
    return text if _units(text) <= _most(wanted) else text[:least]


def _units(text: str) -> int:
    """Return the length as JavaScript counts it, which is never less than the characters."""
    return len(text.encode("utf-16-le")) // 2


def _most(wanted: schema.Schema) -> float:
    return float(wanted.get("maxLength", math.inf))


def _share(words: set[str], there: set[str]) -> float:
    telling = {word for word in words if len(word) >= _SHORTEST_WORD and not word.isdigit()}
    return len(telling & there) / len(telling) if telling else 0.0


def _confidence(place: Place, found: evidence.Evidence) -> float:
    """Return a number that grows with the nearness: it is bounded, and no probability."""
    if not (place.ground.passages or found.near):
        return 0.0
    return _LEAST_SURE + (_SUREST - _LEAST_SURE) * found.nearness


def _within(value: float, wanted: schema.Schema, place: Place) -> float:
    low, high = wanted.get("minimum", -math.inf), wanted.get("maximum", math.inf)
    if wanted["type"] == "integer":
        low = low if math.isinf(low) else math.ceil(low)
        high = high if math.isinf(high) else math.floor(high)
        value = round(value)
    bounded: float = max(low, min(high, round(value, 2)))
    if not low <= bounded <= high:
        raise UnfillableError(place.name)
    return bounded
