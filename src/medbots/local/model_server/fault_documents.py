"""Reads faults, from JSON and from a header."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medbots.local.model_server import faults

MAX_SECONDS = 300.0

_LIMITS = {
    "times": (0, 1_000_000),
    "seconds": (0, MAX_SECONDS),
    "dimension": (1, 16_000),
    "retryAfter": (0, MAX_SECONDS),
    "jsonObject": (0, 1),
}
_LONGEST = {"patientId": 200, "task": 200, "bot": 200, "endpoint": 200, "text": 2_000_000}
"""Characters of each text."""


def parse(document: Any) -> list[faults.Fault]:
    """Return the faults of a JSON list.

    Raises:
        ValueError: it is no such list; the message says where.
    """
    if not isinstance(document, list):
        raise ValueError("faults: must be a list")  # noqa: TRY004
    return [_fault(entry, f"faults[{index}]") for index, entry in enumerate(document)]


def from_header(value: str) -> faults.Fault:
    """Return the fault that the header names.

    Raises:
        ValueError: the header cannot be read.
    """
    kind, *pairs = (part.strip() for part in value.split(";"))
    entry: dict[str, Any] = {"kind": kind}
    for pair in pairs:
        name, _, given = (part.strip() for part in pair.partition("="))
        try:
            entry[name] = given if name in _LONGEST else float(given)
        except ValueError:
            raise ValueError(f"{faults.HEADER}: {name or pair!r} must be a number") from None
    return _fault(entry, faults.HEADER)


def _fault(entry: Any, where: str) -> faults.Fault:
    if not isinstance(entry, Mapping):
        raise ValueError(f"{where}: must be an object")  # noqa: TRY004
    kinds = [kind.value for kind in faults.Kind]
    if entry.get("kind") not in kinds:
        raise ValueError(f"{where}.kind: must be one of {', '.join(kinds)}")
    unknown = sorted(set(entry) - {"kind", *_LIMITS, *_LONGEST})
    if unknown:
        raise ValueError(f"{where}: unknown {unknown[0]!r}")
    kind = faults.Kind(entry["kind"])
    if (kind is faults.Kind.SAY) != (entry.get("text") is not None):
        raise ValueError(f"{where}.text: is what 'say' says, and of no other kind")
    numbers = {name: _number(entry, name, where) for name in _LIMITS}
    texts = {name: _text(entry, name, where) for name in _LONGEST}
    usual = faults.Fault(kind)
    return faults.Fault(
        kind,
        times=int(_or(numbers["times"], usual.times)),
        seconds=_or(numbers["seconds"], usual.seconds),
        dimension=int(_or(numbers["dimension"], usual.dimension)),
        retry_after=numbers["retryAfter"],
        json_object=bool(_or(numbers["jsonObject"], usual.json_object)),
        patient_id=texts["patientId"] or usual.patient_id,
        text=texts["text"],
        task=texts["task"],
        bot=texts["bot"],
        endpoint=_endpoint(texts["endpoint"], kind, where),
    )


def _number(entry: Mapping[str, Any], name: str, where: str) -> float | None:
    value = entry.get(name)
    if value is None:
        return None
    low, high = _LIMITS[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{where}.{name}: must be a number from {low:g} to {high:g}")
    return float(value)


def _text(entry: Mapping[str, Any], name: str, where: str) -> str | None:
    value = entry.get(name)
    if value is None:
        return None
    longest = _LONGEST[name]
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise ValueError(f"{where}.{name}: must be a text of 1 to {longest} characters")
    return value


def _endpoint(name: str | None, kind: faults.Kind, where: str) -> faults.Endpoint | None:
    if name is None:
        return None
    if name not in list(faults.Endpoint):
        raise ValueError(f"{where}.endpoint: must be one of {', '.join(faults.Endpoint)}")
    endpoint = faults.Endpoint(name)
    if faults.only_of(kind) not in (None, endpoint):
        raise ValueError(f"{where}.endpoint: {kind.value!r} never happens at {name}")
    return endpoint


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
