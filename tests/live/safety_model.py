"""The theatre's model server: what its model does wrong, and what it was asked."""

from __future__ import annotations

import httpx

from tests.live.medplum import Json
from tests.live.safety_case import Model


class ModelControl:
    """The control endpoint of the local model server."""

    def __init__(self, url: str) -> None:
        """Control the model server at `url`."""
        self._client = httpx.Client(base_url=f"{url}/control/")

    def begin(self, model: Model | None) -> None:
        """Have the model go wrong in one way until `end`; None: have it at its best."""
        self._client.delete("requests").raise_for_status()
        if model:
            fault = {"kind": model.kind, "times": 0, "endpoint": "chat", **model.more}
            self.add(fault)

    def add(self, fault: Json) -> None:
        """Have something go wrong beside."""
        self._client.post("faults", json=[fault]).raise_for_status()

    def end(self) -> None:
        """Have the model at its best again."""
        self._client.delete("faults").raise_for_status()

    def pending(self) -> list[Json]:
        """Return the faults that are still to come."""
        faults: list[Json] = self._client.get("faults").raise_for_status().json()["faults"]
        return faults

    def chats(self) -> list[Json]:
        """Return the chat calls since the beginning: task, sources, characters, fault."""
        calls = self._client.get("requests").raise_for_status().json()["requests"]
        return [call for call in calls if call["path"].endswith("/chat/completions")]

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()
