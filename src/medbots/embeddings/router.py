"""The model router (OpenAI-compatible), as seen from this machine."""

from __future__ import annotations

import array
import asyncio
import base64
import math
import ssl
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Self

import httpx

from medbots import errors, secret, urls

_TIME_LIMIT = 10.0
"""Seconds for what costs the router nothing."""
_EMBED_LIMIT = 60.0
"""Seconds for an embedding; a model that has to be loaded first takes long."""
_REFUSED = (401, 403)
_BAD_REQUEST = 400
"""LiteLLM's answer to a wrong key, where the request itself cannot be wrong."""
_NO_SUCH_MODEL = (400, 404)
_FAILED = 500
_TOO_MANY = (408, 429)
_SAME = 1e-6
"""Of a value, by which two forms of the same vector may differ."""


class BusyError(errors.ServerError):
    """The model router is overloaded, or failed for a moment: the same request may pass later."""

    exit_code = errors.UnreachableError.exit_code
    code = "router-busy"

    def __init__(
        self, message: str | None = None, *, hint: str | None = None, pause: float | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.pause = pause
        """Seconds that the router asks to wait, where it says."""


class NobodyError(errors.UnreachableError):
    """Nothing listens at the model router's address."""


class Router:
    """One model router. Its key goes out only over TLS, to this machine, or where that is allowed.

    Sources: OpenAI's API reference for `/v1/models` and `/v1/embeddings`; `/health/liveliness` is
    LiteLLM's, and calls no model.
    """

    def __init__(
        self,
        base_url: str,
        api_key: secret.Secret | None,
        *,
        origin: str = "default",
        allow_http: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._key = api_key
        self._server = f"{self.base_url} ({origin})"
        plain = self.base_url.startswith("http:") and not urls.is_loopback(self.base_url)
        self._exposed = plain and not allow_http
        self._client = httpx.AsyncClient(
            transport=transport,
            verify=_trust(self.base_url),
            # A proxy of the environment must not see what stays on this machine.
            trust_env=not urls.is_loopback(self.base_url),
            headers={"X-Client-Id": "medbots", "X-Clinic-Task": "health_check"},
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._client.aclose()

    async def alive(self) -> str:
        """Return what the router's liveliness route said, without a key and without a model.

        A router that has no such route is alive when it answers at all.

        Raises:
            errors.UnreachableError: no answer, or a gateway's that does not reach it.
        """
        answer = await self._send("GET", "/health/liveliness", _TIME_LIMIT)
        if answer.status_code >= _FAILED:
            raise errors.UnreachableError(
                f"{self._server} answers HTTP {answer.status_code} to /health/liveliness",
                hint="look into the router's log; LLM_ROUTER_URL names the router",
            )
        if answer.is_success:
            return "alive"
        return f"answers, without a liveliness route (HTTP {answer.status_code})"

    async def models(self) -> tuple[str, ...]:
        """Return the aliases that the router offers to this key; no model is called.

        Raises:
            errors.NotAllowedError: the key is missing, wrong, or would go out unencrypted.
            errors.ServerError: the router answered something else than a list of models.
        """
        document = self._document(
            await self._send("GET", "/v1/models", _TIME_LIMIT, headers=self._authorization())
        )
        entries = document.get("data")
        if not isinstance(entries, list):
            raise errors.ServerError(f"{self._server}: /v1/models gave no list of models")
        return tuple(str(one["id"]) for one in entries if isinstance(one, dict) and "id" in one)

    async def embed(
        self,
        model: str,
        texts: Sequence[str],
        *,
        task: str | None = None,
        packed: bool = False,
    ) -> list[list[float]]:
        """Return one vector for each text, in their order.

        Args:
            model: alias at the router.
            texts: as the model is to see them.
            task: what the call is for, as the router counts it; a check of health by default.
            packed: ask for 32-bit floats in base64, which cost less; see `packs`.

        Raises:
            errors.NotAllowedError: the key is missing, wrong, or would go out unencrypted.
            BusyError: 408, 429 or 5xx: a later attempt may pass.
            errors.ServerError: the router answered something else than that many vectors.
            errors.UnreachableError: it gave no answer.
        """
        form = "base64" if packed else "float"
        body = {"model": model, "input": list(texts), "encoding_format": form}
        headers = self._authorization() | ({"X-Clinic-Task": task} if task else {})
        document = self._document(
            await self._send("POST", "/v1/embeddings", _EMBED_LIMIT, headers=headers, json=body)
        )
        vectors = _vectors(document.get("data"))
        if len(vectors) != len(texts):
            raise errors.ServerError(
                f"{self._server}: {model} answered {len(vectors)} vectors for {len(texts)} texts"
            )
        return vectors

    async def packs(self, model: str, text: str) -> bool:
        """Whether the router answers the same vector in base64 as in numbers.

        Not every one can; what it says of the attempt is not looked at.

        Raises:
            errors.MedbotsError: it does not answer in numbers either.
        """
        (plain,) = await self.embed(model, [text])
        try:
            (packed,) = await self.embed(model, [text], packed=True)
        except errors.MedbotsError:
            return False
        return len(plain) == len(packed) and all(
            abs(one - other) <= _SAME * max(1.0, abs(one))
            for one, other in zip(plain, packed, strict=True)
        )

    def _authorization(self) -> dict[str, str]:
        if self._key and self._exposed:
            raise errors.NotAllowedError(
                f"{self._server} is plain HTTP beyond this machine: LLM_API_KEY would go out "
                "unencrypted",
                hint="use https:// in LLM_ROUTER_URL, or --allow-http where the network itself "
                "is protected",
            )
        return {"Authorization": f"Bearer {self._key.reveal()}"} if self._key else {}

    async def _send(
        self, method: str, path: str, time_limit: float, **request: Any
    ) -> httpx.Response:
        try:
            async with asyncio.timeout(time_limit):
                return await self._client.request(
                    method, self.base_url + path, timeout=time_limit, **request
                )
        except (TimeoutError, httpx.TimeoutException) as exc:
            why = f"{path} gave no answer within {time_limit:.0f} s"
            raise self._unreachable(why) from exc
        except httpx.ConnectError as exc:
            raise self._unreachable("no connection", NobodyError) from exc
        except httpx.RequestError as exc:
            why = f"the connection broke ({type(exc).__name__})"
            raise self._unreachable(why) from exc

    def _unreachable(
        self, why: str, kind: type[errors.UnreachableError] = errors.UnreachableError
    ) -> errors.UnreachableError:
        return kind(
            f"{self._server} cannot be reached: {why}",
            hint="start the model router, or set LLM_ROUTER_URL to its address",
        )

    def _document(self, answer: httpx.Response) -> dict[str, Any]:
        path, method = answer.request.url.path, answer.request.method
        try:
            document = answer.json()
        except ValueError:
            document = None
        if answer.is_success and isinstance(document, dict):
            return document
        said = f"{self._server}: {path} answers HTTP {answer.status_code}"
        # LiteLLM answers 500 to a call without a key when it has no database to look one up in.
        if (
            answer.status_code in _REFUSED
            or (answer.status_code == _FAILED and not self._key and method == "GET")
            or (answer.status_code == _BAD_REQUEST and method == "GET")
        ):
            which = "the key of LLM_API_KEY" if self._key else "no key (LLM_API_KEY is not set)"
            hint = "set LLM_API_KEY to the router's key"
            if answer.status_code == _FAILED:
                hint = f"{hint}; if it wants none, look into its log"
            raise errors.NotAllowedError(f"{said} to {which}", hint=hint)
        hint = "look into the router's log; LLM_ROUTER_URL names the router"
        if answer.status_code in _TOO_MANY or answer.status_code > _FAILED:
            hint = (
                "the router has too much to do, or what is behind it is down: look into its log, "
                "and run it again later"
            )
        elif answer.status_code in _NO_SUCH_MODEL and method == "POST":
            hint = (
                "EMBEDDING_MODEL (models.embedding) has to be an alias that the router offers: "
                "medbots verify --only router.models lists them; else look into the router's log"
            )
        elif not self._key:
            hint = f"if the router wants a key, set LLM_API_KEY; {hint}"
        if answer.status_code in _TOO_MANY or answer.status_code >= _FAILED:
            raise BusyError(said, hint=hint, pause=_pause(answer.headers.get("retry-after")))
        if answer.is_success:
            said = f"{said} without a JSON document: is this an OpenAI-compatible router?"
        raise errors.ServerError(said, hint=hint)


def _pause(retry_after: str | None) -> float | None:
    """Return a Retry-After in seconds; one that is a date is not worth reading."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _vectors(entries: Any) -> list[list[float]]:
    found: Iterable[Any] = entries if isinstance(entries, list) else ()
    whole = [
        one
        for one in found
        if isinstance(one, dict) and isinstance(one.get("embedding"), (list, str))
    ]
    numbered = {one.get("index", place): one["embedding"] for place, one in enumerate(whole)}
    if set(numbered) != set(range(len(whole))):
        # Doubled or missing numbers: nobody knows which vector is whose.
        return []
    try:
        return [_numbers(numbered[place]) for place in range(len(whole))]
    except (TypeError, ValueError):
        return []


def _numbers(embedding: list[Any] | str) -> list[float]:
    """Read a vector: JSON numbers, or base64 of little-endian 32-bit floats."""
    if isinstance(embedding, list):
        return [float(value) for value in embedding]
    packed = array.array("f", base64.b64decode(embedding, validate=True))
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tolist()


def _trust(base_url: str) -> ssl.SSLContext | bool:
    """Return whom to trust; for plain HTTP nobody, which saves loading the certificates."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if base_url.startswith("http:") else True
