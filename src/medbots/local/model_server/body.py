"""The JSON body of a request: what every endpoint looks at first."""

from __future__ import annotations

import json
from typing import Any


class RequestError(ValueError):
    """The request asks for something that cannot be."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        """The parameter that is at fault, as OpenAI names it."""


def read(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a request.

    Raises:
        RequestError: it is none.
    """
    try:
        document = json.loads(body)
        # Half of a surrogate pair is no character, and cannot be sent back.
        document = json.loads(json.dumps(document, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise RequestError("We could not parse the JSON body of your request.") from None
    if not isinstance(document, dict):
        raise RequestError("The body must be a JSON object.")
    return document


def model(document: dict[str, Any]) -> str:
    """Return the model that the request names.

    Raises:
        RequestError: it names none.
    """
    name = document.get("model")
    if not isinstance(name, str) or not name:
        raise RequestError("you must provide a model parameter", "model")
    return name
