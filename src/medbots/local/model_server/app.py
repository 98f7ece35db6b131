"""The HTTP surface: OpenAI's chat, embeddings and models, LiteLLM's health, and the controls."""

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
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from medbots import secret
from medbots.local.model_server import (
    body,
    catalogue,
    chat,
    embeddings,
    extractive,
    failures,
    fault_documents,
    faults,
    prompt,
    replies,
)

STAND_IN_HEADER = "X-Medbots-Stand-In"
_REMEMBERED = 5_000
_TASK, _BOT = "X-Clinic-Task", "X-Bot-Name"
_CHAT, _EMBEDDINGS = faults.Endpoint.CHAT, faults.Endpoint.EMBEDDINGS
_NAMING_HEADERS = ("X-Client-Id", _TASK, _BOT, "X-Request-Id")


@dataclass(slots=True)
class ModelServer:
    """What the server answers with."""

    embed: Callable[[str, int], Sequence[float]]
    """Text and dimension to a vector of length 1."""
    models: catalogue.Catalogue
    api_key: secret.Secret | None = None
    to_come: faults.Faults = field(default_factory=faults.Faults)
    log: Callable[[str], object] = str
    """Takes each line of the log; by default nobody does."""
    clock: Callable[[], float] = time.time
    """Seconds since 1970."""
    requests: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    """The last requests, free of texts: for tests that count calls."""

    def app(self) -> Starlette:
        """Return the ASGI application."""
        controls = ["GET", "POST", "DELETE"]
        paths = catalogue.PATHS
        routes = [
            Route("/v1/models", self._fixed(self._models), methods=["GET"]),
            Route("/v1/models/{model}", self._answer(self._model), methods=["GET"]),
            Route(paths[_EMBEDDINGS], self._answer(self._embeddings), methods=["POST"]),
            Route(paths[_CHAT], self._answer(self._chat, engine=extractive.NAME), methods=["POST"]),
            Route("/health", self._fixed(self.models.health), methods=["GET"]),
            Route("/health/liveliness", self._fixed(self._alive, open_to_all=True)),
            Route("/health/liveness", self._fixed(self._alive, open_to_all=True)),
            Route("/control/faults", self._answer(self._control), methods=controls),
            Route("/control/requests", self._answer(self._requests), methods=["GET", "DELETE"]),
        ]
        return Starlette(routes=routes, exception_handlers={HTTPException: self._no_route})

    def _answer(
        self,
        handler: Callable[[Request], Awaitable[Response]],
        *,
        open_to_all: bool = False,
        engine: str | None = None,
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            started = time.perf_counter()
            refused = None if open_to_all else self._refusal(request)
            response = refused or await handler(request)
            stand_in = f"offline; {engine or self.models.engine}; not for clinical use"
            response.headers[STAND_IN_HEADER] = stand_in
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
        return failures.error(401, said, code="invalid_api_key")

    def _remember(self, request: Request, response: Response, started: float) -> None:
        entry = {
            "method": request.method,
            "path": request.url.path,
            "status": response.status_code,
            "ms": round((time.perf_counter() - started) * 1000, 1),
            **getattr(request.state, "seen", {}),
        }
        if request.url.path in catalogue.PATHS.values():
            self.requests.append(entry)
        self.log(json.dumps(entry))

    def _models(self) -> dict[str, Any]:
        entries = [self.models.entry(alias) for alias in self.models.aliases()]
        return {"object": "list", "data": entries}

    async def _model(self, request: Request) -> Response:
        name = request.path_params["model"]
        entry = self.models.entry(name)
        return JSONResponse(entry) if entry else self.models.unknown(name)

    def _alive(self) -> str:
        return "I'm alive!"

    async def _embeddings(self, request: Request) -> Response:
        _see(request)
        try:
            order = embeddings.order(await request.body(), self.models.dimension_of)
            fault = self._fault(request, _EMBEDDINGS)
        except body.RequestError as problem:
            return failures.refused(problem)
        _see(request, inputs=len(order.texts), fault=fault and fault.kind.value)
        refused = self.models.misplaced(order.model, _EMBEDDINGS)
        if refused or (refused := await _broken(fault)):
            return refused
        made = self._vectors(order, fault)
        return JSONResponse(
            embeddings.document(order, made, self.models.name(_EMBEDDINGS, order.model))
        )

    def _vectors(
        self, order: embeddings.Order, fault: faults.Fault | None
    ) -> list[Sequence[float]]:
        if fault and fault.kind is faults.Kind.EMPTY:
            return []
        if fault and fault.kind is faults.Kind.WRONG_DIMENSION:
            return [[1 / math.sqrt(fault.dimension)] * fault.dimension for _ in order.texts]
        return [self.embed(text, order.dimension) for text in order.texts]

    async def _chat(self, request: Request) -> Response:
        task, bot = (request.headers.get(name) for name in (_TASK, _BOT))
        _see(request, task=task, bot=bot)
        try:
            order = chat.order(await request.body())
            asked = prompt.read(order.messages)
            fault = self._fault(request, _CHAT, order.form)
            _see(
                request,
                schema=order.schema_name,
                sources=len(asked.sources),
                promptCharacters=order.prompt_characters,
                fault=fault and fault.kind.value,
            )
            refused = self.models.misplaced(order.model, _CHAT)
            if refused or (refused := await _broken(fault)):
                return refused
            said = replies.reply(order, asked, task, fault)
        except body.RequestError as problem:
            return failures.refused(problem)
        made = chat.document(order, said, self.models.name(_CHAT), int(self.clock()))
        return JSONResponse(made)

    def _fault(
        self, request: Request, endpoint: faults.Endpoint, form: str | None = None
    ) -> faults.Fault | None:
        """Return the fault that hits a request: its own, or one that waits for it.

        Raises:
            body.RequestError: the header with its own cannot be read.
        """
        call = faults.Call(endpoint, request.headers.get(_TASK), request.headers.get(_BOT), form)
        header = request.headers.get(faults.HEADER)
        if not header:
            return self.to_come.take(call)
        try:
            own = fault_documents.from_header(header)
        except ValueError as error:
            raise body.RequestError(str(error)) from error
        return own if own.is_meant_for(call) else None

    async def _control(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.to_come.clear()
        if request.method == "POST":
            try:
                document = json.loads(await request.body())
                self.to_come.add(fault_documents.parse(document))
            except ValueError as problem:
                return failures.refused(problem)
        return JSONResponse({"faults": [fault.document() for fault in self.to_come.pending()]})

    async def _requests(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.requests.clear()
        return JSONResponse({"requests": list(self.requests)})

    async def _no_route(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        said = f"Invalid URL or method ({request.method} {request.url.path})"
        return failures.error(status, said, code="unknown_url")


def _see(request: Request, **known: Any) -> None:
    """Note what the log may tell of a request: names and counts, never a text."""
    named = {name: request.headers[name] for name in _NAMING_HEADERS if name in request.headers}
    seen = getattr(request.state, "seen", {"headers": named})
    request.state.seen = seen | known


async def _broken(fault: faults.Fault | None) -> Response | None:
    """Return what a fault answers in the place of any model, after its pause; None: the model."""
    if fault and fault.kind is faults.Kind.SLOW:
        await asyncio.sleep(fault.seconds)
    return failures.of(fault)
