"""Who may approve what a model proposes: read as the Approval Queue Bot reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from medbots.medplum import batch
from medbots.medplum import client as client_module

SETTING = "APPROVER_ROLES"
"""The project secret that names other codes."""

_HL7 = "http://terminology.hl7.org/CodeSystem/practitioner-role"
_SNOMED = "http://snomed.info/sct"

DEFAULTS: Mapping[str, tuple[str, ...]] = {
    "practitioner": (f"{_HL7}|doctor", f"{_SNOMED}|158965000", f"{_SNOMED}|309343006"),
    "nurse": (f"{_HL7}|nurse", f"{_SNOMED}|106292003", f"{_SNOMED}|265937000"),
    "pharmacist": (f"{_HL7}|pharmacist", f"{_SNOMED}|46255001"),
    "billing": (),
}
"""The bot's own, `system|code` by role: `src/lib/approval/approvers.ts`."""

_CODE = re.compile(r"[^\s|]+\|[^\s|]+")
_MOST_CODES = 100
_COUNT = 1000
"""Roles of one kind that are looked at: of more than these somebody may approve."""


@dataclass(frozen=True, slots=True)
class Approvers:
    """Who may approve today."""

    by_role: Mapping[str, frozenset[str]]
    """References of Practitioners, such as `Practitioner/<id>`, by role."""
    members_known: bool
    """Whether it was seen who is a member: others cannot log in, and do not count."""

    @property
    def everybody(self) -> frozenset[str]:
        """Everybody who may approve something."""
        return frozenset().union(*self.by_role.values())

    def pair(self, first: str, second: str) -> bool:
        """Return whether two different people have these roles, one each."""
        one, other = self.by_role[first], self.by_role[second]
        return bool(one and other) and len(one | other) > 1


def codes_of(text: str | None) -> Mapping[str, tuple[str, ...]] | None:
    """Read the value of APPROVER_ROLES; None where the bot refuses it, and nobody approves."""
    if text is None:
        return DEFAULTS
    try:
        given = json.loads(text)
    except ValueError:
        return None
    if not isinstance(given, dict) or not all(_is_entry(*entry) for entry in given.items()):
        return None
    return {**DEFAULTS, **{role: tuple(codes) for role, codes in given.items()}}


def _is_entry(role: str, codes: Any) -> bool:
    return (
        role in DEFAULTS
        and isinstance(codes, list)
        and len(codes) <= _MOST_CODES
        and all(isinstance(code, str) and _CODE.fullmatch(code) for code in codes)
    )


async def read(
    client: client_module.Client,
    codes: Mapping[str, tuple[str, ...]],
    members: frozenset[str] | None,
) -> Approvers:
    """Return who may approve, in one request.

    Args:
        client: may read PractitionerRoles.
        codes: by role, as `codes_of` returns them.
        members: profiles of the project's members; None where they are not visible.

    Raises:
        errors.MedbotsError: the login may not read PractitionerRoles, or the server fails.
    """
    asked = {role: values for role, values in codes.items() if values}
    found = await client.batch([_search(values) for values in asked.values()])
    now = datetime.now(UTC)
    by_role = dict.fromkeys(codes, frozenset[str]())
    for (role, values), result in zip(asked.items(), found, strict=True):
        entries = (result.value() or {}).get("entry") or ()
        resources = [one["resource"] for one in entries if "resource" in one]
        gone = {f"Practitioner/{one['id']}" for one in resources if one.get("active") is False}
        who = frozenset(
            str((one.get("practitioner") or {}).get("reference"))
            for one in resources
            if one["resourceType"] == "PractitionerRole" and _counts(one, values, now)
        )
        by_role[role] = (who if members is None else who & members) - gone
    return Approvers(by_role, members is not None)


def _search(codes: tuple[str, ...]) -> batch.BatchEntry:
    params = {
        "active": "true",
        "role": ",".join(code.replace("\\", "\\\\").replace(",", "\\,") for code in codes),
        "_include": "PractitionerRole:practitioner",
        "_count": _COUNT,
    }
    return batch.BatchEntry("GET", f"PractitionerRole?{urlencode(params)}")


def _counts(role: Mapping[str, Any], codes: tuple[str, ...], now: datetime) -> bool:
    held = {
        f"{coding.get('system')}|{coding.get('code')}"
        for concept in role.get("code") or ()
        for coding in concept.get("coding") or ()
    }
    return role.get("active") is True and bool(held & set(codes)) and _is_current(role, now)


def _is_current(role: Mapping[str, Any], now: datetime) -> bool:
    """Return whether the period holds; one that cannot be read does not. Its last day counts."""
    period = role.get("period") or {}
    start, end = (_instant(period[name]) if name in period else now for name in ("start", "end"))
    if start is None or end is None:
        return False
    whole_day = len(str(period.get("end", ""))) == len("YYYY-MM-DD")
    return start <= now <= end + timedelta(days=1 if whole_day else 0)


def _instant(text: Any) -> datetime | None:
    """Read a FHIR dateTime; of a year or a month its first day."""
    try:
        parts = [int(part) for part in str(text).split("-")] if len(str(text)) <= 10 else []  # noqa: PLR2004
        if parts:
            day = date(*[*parts, 1, 1][:3])
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        moment = datetime.fromisoformat(str(text))
    except (ValueError, TypeError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
