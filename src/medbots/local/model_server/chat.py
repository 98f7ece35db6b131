"""The request and the answer of `POST /v1/chat/completions`, in OpenAI's shapes."""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medbots.local.model_server import body, schema

CHARACTERS_A_TOKEN = 4
"""The usual rule of thumb; the stand-in has no tokenizer."""

_MAX_TOKENS = ("max_tokens", "max_completion_tokens")
_RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
}
_WITHOUT_EFFECT = frozenset(
    {
        *("logit_bias", "logprobs", "metadata", "parallel_tool_calls", "prompt_cache_key"),
        *("reasoning_effort", "safety_identifier", "seed", "service_tier", "stop", "store"),
        *("stream_options", "top_logprobs", "user"),
    }
)
"""Taken without a word: they change nothing in an answer that is always the same."""
_NOT_HERE = ("tools", "functions", "tool_choice", "function_call", "modalities", "audio")
_ROLES = ("system", "developer", "user", "assistant")
_SCHEMA_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Form(enum.StrEnum):
    """The form of the answer that a request asks for."""

    TEXT = "text"
    JSON_OBJECT = "json_object"
    JSON_SCHEMA = "json_schema"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of the conversation."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Order:
    """What a client asks for."""

    model: str
    messages: tuple[Message, ...]
    id: str
    """Of the answer: the same request has the same."""
    form: Form = Form.TEXT
    schema_name: str | None = None
    schema: Mapping[str, Any] | None = None
    max_tokens: int | None = None

    @property
    def prompt_characters(self) -> int:
        """The length of all messages together."""
        return sum(len(message.text) for message in self.messages)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model says."""

    content: str | None
    refusal: str | None = None
    finish_reason: str = "stop"
    limitless: bool = False
    """Whether `max_tokens` does not cut it: not every model keeps to it."""


def order(raw: bytes) -> Order:
    """Return what the request asks for.

    Raises:
        body.RequestError: it asks for something that cannot be, or that the stand-in does not do.
    """
    document = body.read(raw)
    model = body.model(document)
    _refuse_what_is_not_here(document)
    for name, (low, high) in _RANGES.items():
        _number(document.get(name), name, low, high)
    form, schema_name, wanted = _response_format(document.get("response_format"))
    messages = _messages(document.get("messages"))
    if form is Form.JSON_OBJECT and not any("json" in one.text.lower() for one in messages):
        raise body.RequestError(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of "
            "type 'json_object'.",
            "messages",
        )
    stamp = hashlib.sha256(raw).hexdigest()[:24]
    limit = next((document[key] for key in _MAX_TOKENS if document.get(key) is not None), None)
    return Order(model, messages, f"chatcmpl-{stamp}", form, schema_name, wanted, _limit(limit))


def document(order: Order, reply: Reply | None, model: str, created: int) -> dict[str, Any]:
    """Return the answer with its usage; None is one without a choice.

    Args:
        order: What was asked for.
        reply: What is said; cut where `max_tokens` ends it.
        model: What made it.
        created: Seconds since 1970.
    """
    said = _within(reply, order.max_tokens) if reply else None
    prompt = sum(_tokens(message.text) for message in order.messages)
    completion = _tokens(said.content or said.refusal or "") if said else 0
    return {
        "id": order.id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [_choice(said)] if said else [],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        },
    }


def _choice(reply: Reply) -> dict[str, Any]:
    message = {"role": "assistant", "content": reply.content, "refusal": reply.refusal}
    return {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": reply.finish_reason,
    }


def _within(reply: Reply, max_tokens: int | None) -> Reply:
    if reply.content is None or reply.limitless or max_tokens is None:
        return reply
    if _tokens(reply.content) <= max_tokens:
        return reply
    return Reply(reply.content[: max_tokens * CHARACTERS_A_TOKEN], finish_reason="length")


def _tokens(text: str) -> int:
    return -(-len(text) // CHARACTERS_A_TOKEN)


def _refuse_what_is_not_here(document: Mapping[str, Any]) -> None:
    if document.get("stream") not in (None, False):
        raise body.RequestError("'stream' must be false: this stand-in does not stream.", "stream")
    if document.get("n") not in (None, 1):
        raise body.RequestError("'n' must be 1: this stand-in gives one answer.", "n")
    for name in _NOT_HERE:
        if document.get(name) not in (None, [], "none", ["text"]):
            raise body.RequestError(f"{name!r} is not supported by this stand-in.", name)
    known = {*_RANGES, *_WITHOUT_EFFECT, *_NOT_HERE, *_MAX_TOKENS}
    known |= {"model", "messages", "response_format", "stream", "n"}
    for name in sorted(document.keys() - known):
        raise body.RequestError(f"Unrecognized request argument supplied: {name}", name)


def _number(value: Any, name: str, low: float, high: float) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise body.RequestError(f"{name!r} must be a number from {low} to {high}", name)


def _limit(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise body.RequestError("'max_tokens' must be a whole number from 1", "max_tokens")
    return value


def _messages(given: Any) -> tuple[Message, ...]:
    if not isinstance(given, list) or not given:
        raise body.RequestError("'messages' must be a list that is not empty", "messages")
    return tuple(_message(one, f"messages[{index}]") for index, one in enumerate(given))


def _message(given: Any, where: str) -> Message:
    if not isinstance(given, dict):
        raise body.RequestError(f"'{where}' must be an object", where)
    role = given.get("role")
    if role not in _ROLES:
        names = ", ".join(repr(one) for one in _ROLES)
        raise body.RequestError(f"'{where}.role' must be one of {names}", f"{where}.role")
    content = given.get("content")
    if content is None and role == "assistant":
        content = ""
    return Message(role, _text(content, f"{where}.content"))


def _text(content: Any, where: str) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not content:
        raise body.RequestError(f"'{where}' must be a string or a list of text parts", where)
    parts = []
    for index, part in enumerate(content):
        text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
        if not isinstance(text, str):
            raise body.RequestError(f"'{where}[{index}]' must be a part of type 'text'", where)
        parts.append(_text(text, where))
    return "\n".join(parts)


def _response_format(given: Any) -> tuple[Form, str | None, Mapping[str, Any] | None]:
    if given is None:
        return Form.TEXT, None, None
    if not isinstance(given, dict) or given.get("type") not in list(Form):
        names = ", ".join(repr(form.value) for form in Form)
        raise body.RequestError(
            f"'response_format.type' must be one of {names}", "response_format.type"
        )
    form = Form(given["type"])
    if form is not Form.JSON_SCHEMA:
        return form, None, None
    where = "response_format.json_schema"
    wanted = given.get("json_schema")
    if not isinstance(wanted, dict):
        raise body.RequestError(f"Missing required parameter: '{where}'", where)
    name = wanted.get("name")
    if not isinstance(name, str) or not _SCHEMA_NAME.fullmatch(name):
        raise body.RequestError(
            f"'{where}.name' must be 1 to 64 letters, digits, '_' or '-'", f"{where}.name"
        )
    if not isinstance(wanted.get("strict", False), bool | None):
        raise body.RequestError(f"'{where}.strict' must be true or false", f"{where}.strict")
    schema.check(wanted.get("schema"), f"{where}.schema")
    if wanted["schema"].get("type") != "object":
        raise body.RequestError(f"'{where}.schema.type' must be 'object'", f"{where}.schema")
    return form, name, wanted["schema"]
