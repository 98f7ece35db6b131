"""The HTTP surface: OpenAI's embeddings and models, LiteLLM's health, and a control endpoint."""

from __future__ import annotations

import asyncio
import hmac
import json
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from medbots import secret
from medbots.local.model_server import embeddings, faults

STAND_IN_HEADER = "X-Medbots-Stand-In"
_REMEMBERED = 5_000
_NAMING_HEADERS = ("X-Client-Id", "X-Clinic-Task", "X-Bot-Name", "X-Request-Id")
_ERROR_TYPES = {429: "rate_limit_error", 500: "server_error"}


@dataclass(slots=True)
class ModelServer:
    """What the server answers with."""

    embed: Callable[[str, int], Sequence[float]]
    """Text and dimension to a vector of length 1."""
    engine: str
    """What makes the vectors, such as `feature-hashing`."""
    dimension: int = 768
    alias: str = "embedding-model"
    api_key: secret.Secret | None = None
    to_come: faults.Faults = field(default_factory=faults.Faults)
    log: Callable[[str], object] = str
    """Takes each line of the log; by default nobody does."""
    requests: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    """The last requests, free of texts: for tests that count calls."""

    @property
    def model_name(self) -> str:
        """The model every answer names, so that no vector passes for a real one unnoticed."""
        return f"offline-stand-in/{self.engine}-{self.dimension}"

    def app(self) -> Starlette:
        """Return the ASGI application."""
        routes = [
            Route("/v1/models", self._fixed(self._models), methods=["GET"]),
            Route("/v1/models/{model}", self._answer(self._model), methods=["GET"]),
            Route("/v1/embeddings", self._answer(self._embeddings), methods=["POST"]),
            Route("/health", self._fixed(self._health), methods=["GET"]),
            Route("/health/liveliness", self._fixed(self._alive, open_to_all=True)),
            Route("/health/liveness", self._fixed(self._alive, open_to_all=True)),
            Route(
                "/control/faults", self._answer(self._control), methods=["GET", "POST", "DELETE"]
            ),
            Route("/control/requests", self._answer(self._requests), methods=["GET", "DELETE"]),
        ]
        return Starlette(routes=routes, exception_handlers={HTTPException: self._no_route})

    def _answer(
        self, handler: Callable[[Request], Awaitable[Response]], *, open_to_all: bool = False
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            started = time.perf_counter()
            refused = None if open_to_all else self._refusal(request)
            response = refused or await handler(request)
            response.headers[STAND_IN_HEADER] = f"offline; {self.engine}; not for clinical use"
            self._remember(request, response, started)
            return response

        return endpoint

    def _fixed(
        self, document: Callable[[], Any], *, open_to_all: bool = False
    ) -> Callable[[Request], Awaitable[Response]]:
        async def handler(_: Request) -> Response:
            return JSONResponse(document())

        return self._answer(handler, open_to_all=open_to_all)

    def _refusal(self, request: Request) -> Response | None:
        if self.api_key is None:
            return None
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        expected = self.api_key.reveal().encode()
        if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), expected):
            return None
        said = "Incorrect API key provided." if given else "You didn't provide an API key."
        return _error(401, said, code="invalid_api_key")

    def _remember(self, request: Request, response: Response, started: float) -> None:
        entry = {
            "method": request.method,
            "path": request.url.path,
            "status": response.status_code,
            "ms": round((time.perf_counter() - started) * 1000, 1),
            **getattr(request.state, "seen", {}),
        }
        if request.url.path.startswith("/v1/embeddings"):
            self.requests.append(entry)
        self.log(json.dumps(entry))

    def _models(self) -> dict[str, Any]:
        return {"object": "list", "data": [self._entry()]}

    async def _model(self, request: Request) -> Response:
        name = request.path_params["model"]
        return JSONResponse(self._entry()) if name == self.alias else self._unknown(name)

    def _entry(self) -> dict[str, Any]:
        owner = f"medbots: {self.model_name}"
        return {"id": self.alias, "object": "model", "created": 0, "owned_by": owner}

    def _unknown(self, name: str) -> Response:
        said = f"The model {name!r} does not exist; this offline stand-in has {self.alias!r}."
        return _error(404, said, code="model_not_found", param="model")

    def _health(self) -> dict[str, Any]:
        healthy = [{"model": self.alias, "engine": self.model_name}]
        return {
            "healthy_endpoints": healthy,
            "unhealthy_endpoints": [],
            "healthy_count": len(healthy),
            "unhealthy_count": 0,
        }

    def _alive(self) -> str:
        return "I'm alive!"

    async def _embeddings(self, request: Request) -> Response:
        named = {name: request.headers[name] for name in _NAMING_HEADERS if name in request.headers}
        request.state.seen = {"headers": named}
        try:
            order = embeddings.order(await request.body(), self.dimension)
            header = request.headers.get(faults.HEADER)
            fault = faults.from_header(header) if header else self.to_come.take()
        except ValueError as error:
            return _error(400, str(error))
        request.state.seen |= {"inputs": len(order.texts), "fault": fault and fault.kind.value}
        if order.model != self.alias:
            return self._unknown(order.model)
        return await self._spoilt(order, fault) if fault else self._vectors(order)

    def _vectors(self, order: embeddings.Order) -> Response:
        made = [self.embed(text, order.dimension) for text in order.texts]
        return JSONResponse(embeddings.document(order, made, self.model_name))

    async def _spoilt(self, order: embeddings.Order, fault: faults.Fault) -> Response:
        match fault.kind:
            case faults.Kind.SLOW:
                await asyncio.sleep(fault.seconds)
                return self._vectors(order)
            case faults.Kind.WRONG_DIMENSION:
                part = 1 / math.sqrt(fault.dimension)
                made = [[part] * fault.dimension for _ in order.texts]
                return JSONResponse(embeddings.document(order, made, self.model_name))
            case faults.Kind.EMPTY:
                return JSONResponse(embeddings.document(order, [], self.model_name))
            case faults.Kind.INVALID_BODY:
                return HTMLResponse("<html><body>Bad Gateway (fault on demand)</body></html>")
            case faults.Kind.TOO_MANY:
                response = _error(429, "Rate limit reached (fault on demand).")
                if fault.retry_after is not None:
                    response.headers["Retry-After"] = f"{fault.retry_after:g}"
                return response
            case faults.Kind.SERVER_ERROR:
                return _error(500, "The server had an error (fault on demand).")

    async def _control(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.to_come.clear()
        if request.method == "POST":
            try:
                document = json.loads(await request.body())
                self.to_come.add(faults.parse(document))
            except ValueError as error:
                return _error(400, str(error))
        return JSONResponse({"faults": [fault.document() for fault in self.to_come.pending()]})

    async def _requests(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.requests.clear()
        return JSONResponse({"requests": list(self.requests)})

    async def _no_route(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        said = f"Invalid URL or method ({request.method} {request.url.path})"
        return _error(status, said, code="unknown_url")


def _error(
    status: int, message: str, *, code: str | None = None, param: str | None = None
) -> Response:
    kind = _ERROR_TYPES.get(status, "invalid_request_error")
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return JSONResponse(body, status_code=status)
