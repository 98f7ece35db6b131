"""What a chat call is answered: the value in words, and the ways in which words go wrong."""

from __future__ import annotations

import json
import re
from typing import Any

from medbots.local.model_server import chat, extractive, faults, lies, prompt, schema

_REFUSAL = "I'm sorry, I can't help with that (fault on demand)."
_FENCED = """Of course! Here is the answer that you asked for:

```json
{}
```

Let me know if you need anything else."""
_THOUGHT = """<think>
The sources are few. A first draft would be {}
but that does not hold. I answer from the sources instead.
</think>

{}"""
_CITED = re.compile(r"\{S:([^{}]{1,200})\}")


def reply(
    order: chat.Order, asked: prompt.Prompt, task: str | None, fault: faults.Fault | None
) -> chat.Reply | None:
    """Return what is said; None for an answer without a choice.

    Raises:
        place.UnfillableError: the schema asks for what cannot be.
    """
    if fault and fault.kind is faults.Kind.SAY:
        return chat.Reply(_with_ids(fault.text or "", asked), limitless=True)
    wanted = order.schema or asked.schema
    if wanted is None and order.form is chat.Form.JSON_OBJECT:
        wanted = extractive.ANY_OBJECT
    value = lies.told(asked, wanted, task, fault)
    return _said(value, wanted or {}, fault.kind if fault else None)


def _said(value: Any, wanted: schema.Schema, kind: faults.Kind | None) -> chat.Reply | None:
    text = _text(value)
    match kind:
        case faults.Kind.EMPTY:
            return None
        case faults.Kind.REFUSAL:
            return chat.Reply(None, _REFUSAL)
        case faults.Kind.INVALID_JSON:
            return chat.Reply(_half(text))
        case faults.Kind.CUT:
            return chat.Reply(_half(text), finish_reason="length")
        case faults.Kind.PROSE:
            return chat.Reply(_FENCED.format(text))
        case faults.Kind.THINK:
            return chat.Reply(_THOUGHT.format(_text(lies.draft(value, wanted)), text))
        case _:
            return chat.Reply(text)


def _with_ids(text: str, asked: prompt.Prompt) -> str:
    """Return a text with `{S:words}` replaced by the id of the first source that holds the words.

    Where none does, it is S0, which no prompt has.
    """

    def id_of(found: re.Match[str]) -> str:
        holding = (one.id for one in asked.sources if found[1] in f"{one.header}\n{one.text}")
        return next(holding, "S0")

    return _CITED.sub(id_of, text)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _half(text: str) -> str:
    return text[: max(1, len(text) * 2 // 3)]
