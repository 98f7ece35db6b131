"""Whose words may be repeated in errors and logs: a bot's words may quote what it worked on.

The bots that ship with medbots name codes, ids, hosts and counts, and nothing of a record. What
any other bot says is shown only to a person who asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

SHIPPED = (
    "embedding",
    "semantic-search",
    "rag-pipeline",
    "command-processor",
    "approval-queue",
    "clinical-decision-support",
    "documentation-assistant",
    "billing-code-suggester",
    "audit-logging",
)
"""Keys of the bots that ship with medbots."""

WITHHELD = "words withheld, they may hold patient data: -v shows them"

CODES = frozenset(
    {
        "INVALID_INPUT",
        "PATIENT_NOT_FOUND",
        "UNAUTHORIZED",
        "LLM_ERROR",
        "LLM_ROUTER_ERROR",
        "LLM_INVALID_OUTPUT",
        "EMBEDDING_ERROR",
        "DIMENSION_MISMATCH",
        "SAFETY_BLOCKED",
        "TIMEOUT",
        "DB_ERROR",
        "AUDIT_UNAVAILABLE",
        "NOT_CONFIGURED",
        "PHI_ROUTE_BLOCKED",
        "AUDIT_FAILED",
    }
)
"""The bots' error codes, and the one that they log."""

_RULE = re.compile(r"[A-Z][A-Z_]{2,39}")
_FIRST = re.compile(r"[A-Z_]+\b")


def harmless(key: str) -> bool:
    """Whether what a bot says holds nothing of a record, by what it is."""
    return key in SHIPPED


def code(text: object) -> str | None:
    """Return the error code at the beginning of a text; a code is nobody's data."""
    found = _FIRST.match(text) if isinstance(text, str) else None
    return found.group() if found and found.group() in CODES else None


def rule(key: str, details: object) -> str:
    """Return the rule that a bot names for its refusal, as a code; empty where it names none."""
    if not harmless(key):
        return ""
    found = details.get("reason") if isinstance(details, Mapping) else None
    return found if isinstance(found, str) and _RULE.fullmatch(found) else ""
