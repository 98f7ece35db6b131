"""Asks the model server without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from medbots import secret
from medbots.local.model_server import app, catalogue, hashing
from tests.support import prompts

KEY = "sk-plant"
NOW = 1_700_000_000.0


class Asker:
    """A client that has the server's key."""

    def __init__(self, server: app.ModelServer, http: httpx.AsyncClient) -> None:
        """Ask this server."""
        self.server = server
        self.http = http

    async def embed(self, texts: object, headers: dict[str, str] | None = None, **more: Any) -> Any:
        """Ask for embeddings; return the response."""
        body = {"model": "embedding-model", "input": texts, **more}
        return await self.http.post("/v1/embeddings", json=body, headers=headers)

    async def chat(
        self,
        schema: dict[str, Any] | None = None,
        question: str = "What was the HbA1c?",
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> Any:
        """Ask about the chart, for an answer of a schema where one is given."""
        body: dict[str, Any] = {
            "model": "clinical-model",
            "messages": [
                {"role": "system", "content": "You answer from sources."},
                {"role": "user", "content": prompts.message(prompts.CHART, question)},
            ],
            **more,
        }
        if schema is not None:
            wanted = {"name": "answer", "schema": schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": wanted}
        return await self.http.post("/v1/chat/completions", json=body, headers=headers)


@asynccontextmanager
async def asking(lines: list[str], **models: Any) -> AsyncIterator[Asker]:
    """Give a client of a server of 64 components that wants a key, and logs into `lines`."""
    known = catalogue.Catalogue(hashing.NAME, 64, **models)
    key = secret.Secret(KEY)
    server = app.ModelServer(hashing.embed, known, key, log=lines.append, clock=lambda: NOW)
    transport = httpx.ASGITransport(server.app())
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://models", headers=headers
    ) as http:
        yield Asker(server, http)
