"""The request and the answer of `POST /v1/embeddings`, in OpenAI's shapes."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from medbots.local.model_server import body, hashing

MAX_INPUTS = 2048
"""OpenAI's limit on the texts of one request."""
_DECIMALS = 7
"""What a 32-bit float holds."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a client asks for."""

    model: str
    texts: tuple[str, ...]
    dimension: int
    base64: bool = False
    """Vectors as base64 of little-endian 32-bit floats instead of JSON numbers."""


def order(raw: bytes, dimension_of: Callable[[str], int]) -> Order:
    """Return what the request asks for; where it names no dimension, that of the model holds.

    Raises:
        body.RequestError: it asks for something that cannot be.
    """
    document = body.read(raw)
    model = body.model(document)
    encoding = document.get("encoding_format", "float")
    if encoding not in ("float", "base64"):
        raise body.RequestError("'encoding_format' must be 'float' or 'base64'", "encoding_format")
    return Order(
        model,
        _texts(document.get("input")),
        _dimension(document.get("dimensions"), dimension_of(model)),
        encoding == "base64",
    )


def document(order: Order, vectors: Sequence[Sequence[float]], model: str) -> dict[str, Any]:
    """Return the answer: one entry a vector, in the order of the texts, and the usage."""
    used = sum(len(hashing.tokens(text)) for text in order.texts)
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _encoded(vector, order)}
            for index, vector in enumerate(vectors)
        ],
        "model": model,
        "usage": {"prompt_tokens": used, "total_tokens": used},
    }


def _encoded(vector: Sequence[float], order: Order) -> list[float] | str:
    rounded = [round(value, _DECIMALS) for value in vector]
    if order.base64:
        # Of the same numbers: both forms are the same vector.
        return base64.b64encode(struct.pack(f"<{len(rounded)}f", *rounded)).decode()
    return rounded


def _texts(given: Any) -> tuple[str, ...]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts:
        raise _bad_input("'input' must be a string or a list of strings that is not empty")
    if len(texts) > MAX_INPUTS:
        raise _bad_input(f"'input' must hold no more than {MAX_INPUTS} texts")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise _bad_input(f"'input[{index}]' must be a string; token lists are not taken here")
        if not text:
            raise _bad_input(f"'input[{index}]' must not be empty")
    return tuple(texts)


def _bad_input(said: str) -> body.RequestError:
    return body.RequestError(said, "input")


def _dimension(given: Any, configured: int) -> int:
    if given is None:
        return configured
    if isinstance(given, bool) or not isinstance(given, int) or not 2 <= given <= configured:  # noqa: PLR2004
        raise body.RequestError(
            f"'dimensions' must be a number from 2 to {configured}", "dimensions"
        )
    return given
