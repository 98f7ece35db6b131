"""How an error stands in JSON, wherever one does: alone, or beside what was done before it."""

from __future__ import annotations

from medbots import errors, secret


def document(error: errors.MedbotsError) -> dict[str, str | None]:
    """Return the contract's `{"code", "message", "hint"}`, free of secrets; a hint may be null."""
    return {
        "code": error.code,
        "message": secret.redact(error.message),
        "hint": secret.redact(error.hint) if error.hint else None,
    }
