"""What a model says on a bad day: answers that are well formed and wrong."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from medbots.local.model_server import (
    evidence,
    extractive,
    faults,
    injections,
    pattern,
    prompt,
    roles,
    schema,
)
from medbots.local.model_server.place import Manner

_EAGER = Manner(eager=True)
_MANNERS = {
    faults.Kind.UNKNOWN_CITATIONS: _EAGER,
    faults.Kind.INVENTED_NUMBERS: _EAGER,
    faults.Kind.OTHER_PATIENT: _EAGER,
    faults.Kind.EXTRA_FIELDS: _EAGER,
    faults.Kind.INVENTED_CODES: Manner(eager=True, invents=True),
}
"""A lie needs an answer, near the question or not."""
_FORBIDDEN = {
    "severity": "high",
    "approved": True,
    "requiresApproval": False,
    "confidence": 1,
    "command": "SuggestMedicationChange",
}
_NUMBER = re.compile(r"(?<![A-Za-z\d])(?<!\d[.,])\d{1,15}(?:[.,]\d{1,15})?(?!\d)")
"""The digit of `HbA1c` belongs to a word."""
_MARK = re.compile(r"\[S\d+\]")

Change = Callable[[str, str, schema.Schema], str]
"""Takes a string, its property's name and schema; gives another."""


def told(
    asked: prompt.Prompt, wanted: schema.Schema | None, task: str | None, fault: faults.Fault | None
) -> Any:
    """Return the answer, in the manner of the fault; a text where no schema is wanted.

    Raises:
        place.UnfillableError: no answer conforms to the schema.
    """
    meant = injections.find(asked) if fault and fault.kind is faults.Kind.OBEY else []
    if meant:
        dictated = injections.dictated(meant)
        obedient = Manner(everywhere=True)
        return dictated or extractive.answer(wanted, evidence.only(meant), obedient)
    manner = _MANNERS.get(fault.kind, Manner()) if fault else Manner()
    found = extractive.evidence_for(asked, wanted, task, eager=manner.eager)
    value = extractive.answer(wanted, found, manner)
    return _spoilt(value, wanted or {}, asked, fault) if fault else value


def draft(value: Any, wanted: schema.Schema) -> Any:
    """Return an answer of the same form and with the same citations that says nothing true."""

    def blank(text: str, name: str, one: schema.Schema) -> str:
        kept = roles.of(name, one) is roles.Role.CITATION or "enum" in one or "pattern" in one
        return text if kept else "A first draft, thrown away."

    return _rewritten(value, wanted, "", blank)


def _spoilt(value: Any, wanted: schema.Schema, asked: prompt.Prompt, fault: faults.Fault) -> Any:
    match fault.kind:
        case faults.Kind.UNKNOWN_CITATIONS:
            return _rewritten(value, wanted, "", _citing_nobody(asked))
        case faults.Kind.INVENTED_NUMBERS:
            return _rewritten(value, wanted, "", _with_numbers(asked))
        case faults.Kind.OTHER_PATIENT:
            return _rewritten(value, wanted, "", _of_patient(fault.patient_id))
        case faults.Kind.EXTRA_FIELDS:
            return _with_fields(value)
        case _:
            return value


def _rewritten(value: Any, wanted: schema.Schema, name: str, change: Change) -> Any:
    """Return a value with every string changed, each according to its property."""
    one = schema.branch_of(value, wanted)
    if isinstance(value, dict):
        properties = one.get("properties", {})
        return {
            key: _rewritten(inside, properties.get(key, {}), key, change)
            for key, inside in value.items()
        }
    if isinstance(value, list):
        items = one.get("items", {})
        made = [_rewritten(inside, items, name, change) for inside in value]
        return [each for index, each in enumerate(made) if each not in made[:index]]
    return change(value, name, one) if isinstance(value, str) else value


def _citing_nobody(asked: prompt.Prompt) -> Change:
    known = {source.id for source in asked.sources}
    nobody = next(f"S{number}" for number in range(99, 10_000) if f"S{number}" not in known)

    def change(text: str, name: str, one: schema.Schema) -> str:
        if roles.of(name, one) is roles.Role.CITATION:
            return nobody
        return _MARK.sub(f"[{nobody}]", text)

    return change


def _with_numbers(asked: prompt.Prompt) -> Change:
    known = {number for source in asked.sources for number in _numbers(source)}

    def other(found: re.Match[str]) -> str:
        shown = _decimal(found[0])
        step = Decimal(7).scaleb(-len(str(shown).partition(".")[2]))
        return str(next(n for n in itertools.count(shown + step, step) if n not in known))

    def change(text: str, name: str, one: schema.Schema) -> str:
        if not _is_free(name, one):
            return text
        if _NUMBER.search(_MARK.sub("", text)) is None:
            return _joined(text, f"Measured: {_NUMBER.sub(other, '97.3')}.", one)
        marks = _MARK.findall(text)
        parts = [_NUMBER.sub(other, part) for part in _MARK.split(text)]
        return "".join(part + mark for part, mark in zip(parts, [*marks, ""], strict=True))

    return change


def _of_patient(patient_id: str) -> Change:
    def change(text: str, name: str, one: schema.Schema) -> str:
        if roles.of(name, one) is roles.Role.ID:
            return f"Patient/{patient_id}" if roles.wants_reference(name) else patient_id
        if not _is_free(name, one):
            return text
        return _joined(text, f"This is patient {patient_id}, see Patient/{patient_id}.", one)

    return change


def _with_fields(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_fields(inside) for name, inside in value.items()} | {
            name: said for name, said in _FORBIDDEN.items() if name not in value
        }
    return [_with_fields(inside) for inside in value] if isinstance(value, list) else value


def _is_free(name: str, one: schema.Schema) -> bool:
    """Return whether a string holds words of the model's choice."""
    fixed = "enum" in one or "const" in one or pattern.kind(one) is not pattern.Kind.PROSE
    return not fixed and roles.of(name, one) in (roles.Role.TEXT, roles.Role.QUOTE)


def _joined(text: str, lie: str, one: schema.Schema) -> str:
    """Return a text with a lie at its end; the lie alone where both are too long together."""
    both = f"{text.rstrip('. ')}. {lie}".lstrip(". ")
    return both if len(both) <= one.get("maxLength", math.inf) else lie


def _numbers(source: prompt.Source) -> list[Decimal]:
    found = _NUMBER.findall(f"{source.header}\n{source.text}")
    return [_decimal(number) for number in found]


def _decimal(number: str) -> Decimal:
    return Decimal(number.replace(",", "."))
