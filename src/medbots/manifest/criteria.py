"""Search criteria, judged by what the server's matcher of subscriptions can evaluate.

The server stores any criteria and stays silent when they can never match, so everything that would
never fire, or fire on more than it says, is refused here. The rules follow the matcher of
@medplum/core (search/match.ts): equality of tokens, references and dates, containment of strings,
`:not` and `:missing`; no chains, no number, quantity or composite parameters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl

from medbots.manifest import fhir, shape

_SILENT_TYPES = {"AuditEvent": "the server runs no subscription for AuditEvent"}
_RESULT_PARAMETERS = frozenset(
    f"_{name}"
    for name in (
        *("count", "cursor", "elements", "fields", "format", "include", "offset", "pretty"),
        *("revinclude", "sort", "summary", "total", "type"),
    )
)
_MODIFIERS = {
    "token": ("not", "missing"),
    "reference": ("not", "missing"),
    "string": ("contains", "not", "missing"),
    "uri": ("not", "missing"),
    "date": ("missing",),
}
PREFIXES = ("eq", "ne", "lt", "le", "gt", "ge", "sa", "eb", "ap")
_DATE = re.compile(
    r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01])"
    r"(T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?)?)?)?"
)
_REFERENCE = re.compile(r"([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}")
_VARIABLE = re.compile(r"%[A-Za-z][A-Za-z0-9_.]*")
_STAND_IN = "\ue000"


@dataclass(frozen=True, slots=True)
class Criteria:
    """Parsed search criteria."""

    resource_type: str
    parameters: tuple[tuple[str, str], ...] = ()
    """(name with modifier, decoded value), in the order of the text."""

    @property
    def same_as(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """What is equal for two criteria that ask for the same, in whatever order."""
        return self.resource_type, tuple(sorted(self.parameters))


def parse(text: str) -> Criteria:
    """Return the criteria as the server splits them; nothing is judged."""
    resource_type, _, query = text.partition("?")
    return Criteria(resource_type, tuple(parse_qsl(query, keep_blank_values=True)))


def problems(text: str, *, resource_type: str | None = None) -> Iterator[str]:
    """Yield what is wrong with a subscription's criteria, or with those of a policy.

    Args:
        text: such as `Task?code=http://example.org|review&status=requested`.
        resource_type: the type that the criteria of a policy must have; their values may hold
            variables, such as `%profile`. None: a subscription's criteria.
    """
    policy = resource_type is not None
    if policy:
        text = _VARIABLE.sub(_STAND_IN, text)
    found = parse(text)
    yield from _wrong_form(text)
    name = found.resource_type
    known = fhir.resource_types()
    if policy and name != resource_type:
        yield f"the criteria are about {name!r}, the entry is about {resource_type!r}"
        return
    if name not in known:
        if not (policy and name == "*"):
            yield f"{name!r} is no resource type{shape.nearest(name, known)}"
        return
    if not policy and name in _SILENT_TYPES:
        yield _SILENT_TYPES[name]
    for key, value in found.parameters:
        yield from _parameter(name, key, value)


def _wrong_form(text: str) -> Iterator[str]:
    path, mark, query = text.partition("?")
    if "/" in path:
        yield "begin with the resource type, without a path or a leading slash"
    if any(character.isspace() for character in text):
        yield "holds a space; write %20 in a value"
    if "?" in query:
        yield "the server drops everything after a second `?`; write %3F in a value"
    if mark and not query:
        yield "nothing follows the `?`"


def _parameter(resource_type: str, key: str, value: str) -> Iterator[str]:
    code, _, modifier = key.partition(":")
    search = fhir.resource_types()[resource_type].search
    if code == "_has" or "." in key:
        yield f"{key}: a chain, which subscriptions cannot follow: it would never match"
    elif code in _RESULT_PARAMETERS:
        yield f"{code}: shapes the result of a search, and means nothing here"
    elif code not in search:
        yield f"{resource_type} has no search parameter {code!r}{shape.nearest(code, search)}"
    elif modifier == "missing" and search[code].kind != "special":
        if value not in ("true", "false"):
            yield f"{key}: expected true or false, got {value!r}"
    else:
        yield from _comparison(code, modifier, value, search[code])


def _comparison(code: str, modifier: str, value: str, parameter: fhir.Parameter) -> Iterator[str]:
    allowed = _MODIFIERS.get(parameter.kind)
    if allowed is None:
        yield f"{code}: a {parameter.kind} parameter, which subscriptions cannot compare"
        return
    if modifier and modifier not in allowed:
        yield from _wrong_modifier(code, modifier, value, allowed)
        return
    if value == "":
        yield f"{code}: no value; to ask whether it is there, write {code}:missing=false"
        return
    if _STAND_IN in value:
        return
    if parameter.kind == "date":
        yield from _date(code, value)
        return
    for part in _split(value):
        if part == "":
            yield f"{code}: an empty value between commas"
        elif parameter.kind == "token":
            yield from _token(code, part, parameter.codes)
        elif parameter.kind == "reference":
            yield from _reference(code, part, parameter.targets)


def _wrong_modifier(
    code: str, modifier: str, value: str, allowed: tuple[str, ...]
) -> Iterator[str]:
    if modifier in fhir.resource_types():
        yield f"{code}:{modifier}: not evaluated; write {code}={modifier}/{value}"
        return
    known = ", ".join(f":{one}" for one in allowed)
    hint = shape.nearest(modifier, allowed)
    yield f"{code}:{modifier}: subscriptions do not evaluate this modifier, only {known}{hint}"


def _split(value: str) -> list[str]:
    """Split at commas that no backslash protects."""
    return [part.replace("\\,", ",") for part in re.split(r"(?<!\\),", value)]


def _token(code: str, value: str, codes: tuple[str, ...]) -> Iterator[str]:
    system, bar, rest = value.partition("|")
    plain = rest if bar else value
    if codes and system and bar:
        yield f"{code}: a plain code, which has no system; write {code}={rest or codes[0]}"
    elif codes and plain.lower() not in {one.lower() for one in codes}:
        known = f"one of {', '.join(codes)}"
        yield f"{code}: is never {plain!r}, but {known}{shape.nearest(plain, codes)}"
    elif "|" in rest:
        yield f"{code}: {value!r} has more than one `|`"
    elif bar and not system and not rest:
        yield f"{code}: `|` alone matches nothing"
    elif not bar and re.match("https?://" if code == "identifier" else "https?://|urn:", value):
        yield f"{code}: a system without a code matches nothing; write {code}={value}|"


def _reference(code: str, value: str, targets: tuple[str, ...]) -> Iterator[str]:
    if code == "_compartment" or ":" in value:
        return
    match = _REFERENCE.fullmatch(value)
    if match is None:
        kind = targets[0] if targets else "Type"
        yield f"{code}: {value!r} does not match on every server; write {code}={kind}/<id>"
    elif match.group(1) not in fhir.resource_types():
        name = match.group(1)
        yield f"{code}: {name!r} is no resource type{shape.nearest(name, fhir.resource_types())}"
    elif targets and match.group(1) not in targets:
        yield f"{code}: never refers to a {match.group(1)}, only to {', '.join(targets)}"


def _date(code: str, value: str) -> Iterator[str]:
    bare = value[2:] if value[:2] in PREFIXES else value
    if "," in bare:
        yield f"{code}: subscriptions take one date, not a list"
    elif not _DATE.fullmatch(bare):
        prefix = value[:2]
        hint = ""
        if prefix.isalpha():
            hint = f"; {prefix!r} is no prefix, but one of {', '.join(PREFIXES)}"
        elif " " in bare:
            hint = "; write %2B for the + of a time zone"
        yield f"{code}: {bare!r} is no date{hint}"
