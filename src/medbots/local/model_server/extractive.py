"""The stand-in for a language model: it writes nothing of its own, and quotes what it is shown."""

from __future__ import annotations

from typing import Any

from medbots.local.model_server import evidence, fill, prompt, schema
from medbots.local.model_server.place import Manner

NAME = "extractive"
HEALTH_CHECK = "health_check"
"""The task of a call that asks for nothing but an answer."""
_WELL = "This offline stand-in answers."
_MOST_SENTENCES = 3
ANY_OBJECT: schema.Schema = {
    "type": "object",
    "properties": {
        "answerable": {"type": "boolean"},
        "answer": {"type": "string"},
        "citations": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["answerable", "answer", "citations"],
    "additionalProperties": False,
}
"""What is answered where JSON is asked for and no schema says which."""


def evidence_for(
    asked: prompt.Prompt, wanted: schema.Schema | None, task: str | None, *, eager: bool = False
) -> evidence.Evidence:
    """Return what an answer may stand on.

    Args:
        asked: The prompt.
        wanted: The checked schema of the answer, where there is one.
        task: Of the header X-Clinic-Task.
        eager: Whether what is far from the question counts too.
    """
    if task == HEALTH_CHECK:
        return evidence.of_nothing(_WELL)
    parts = fill.sections(wanted or {})
    return evidence.gather(asked, parts, strict=fill.asks_whether(wanted or {}), eager=eager)


def answer(wanted: schema.Schema | None, found: evidence.Evidence, manner: Manner) -> Any:
    """Return the answer as its schema asks for it.

    Without a schema it is sentences, each with its source: `Fever for two days [S1].`

    Raises:
        place.UnfillableError: no answer conforms.
    """
    if wanted is not None:
        return fill.fill(wanted, found, manner)
    chosen = found.in_order(found.near[:_MOST_SENTENCES])
    said = (f"{one.text.rstrip('.')} [{one.source.id}]." for one in chosen)
    return " ".join(said) or found.silence
