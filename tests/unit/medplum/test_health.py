"""What a server says of itself without a login, and the code that its bots run."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from medbots import errors
from medbots.medplum import code, health

URL = "http://localhost:8103/"


async def read(handler: Any) -> health.Health:
    """Read the health that `handler` answers."""
    return await health.read(URL, "default", transport=httpx.MockTransport(handler))


async def test_each_field_is_read() -> None:
    """Version and services are as the server says; `ok` has no part in it."""
    body = {"ok": True, "version": "5.1.3-abc", "postgres": True, "redis": False}
    found = await read(lambda _: httpx.Response(200, json=body))
    assert found == health.Health("5.1.3-abc", postgres=True, redis=False)


@pytest.mark.parametrize("body", [{"ok": True}, {"postgres": "yes", "redis": 1, "version": None}])
async def test_what_is_not_said_is_not_made_up(body: dict[str, Any]) -> None:
    """A field that is missing, or no boolean, is unknown."""
    found = await read(lambda _: httpx.Response(200, json=body))
    assert found == health.Health("", None, None)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404, json={"error": "not found"}),
        httpx.Response(200, json=["ok"]),
        httpx.Response(200, text="ok"),
        httpx.Response(200, html="<html></html>"),
    ],
)
async def test_something_else_than_a_medplum_server(answer: httpx.Response) -> None:
    """What answers and is no Medplum is said to be none, with the setting to correct."""
    with pytest.raises(errors.UnreachableError, match="is this a Medplum server") as caught:
        await read(lambda _: answer)
    assert "MEDPLUM_BASE_URL" in (caught.value.hint or "")


class Client:
    """Answers one Bot and one Binary."""

    def __init__(self, url: str | None) -> None:
        self.url = url
        self.binaries: list[str] = []

    async def get(self, path: str) -> dict[str, Any]:
        """Return the Bot."""
        assert path == "fhir/R4/Bot/b1"
        return {"executableCode": {"url": self.url}} if self.url else {}

    async def read_binary(self, binary_id: str) -> bytes:
        """Return the code."""
        self.binaries.append(binary_id)
        return b"code"


ID = "0a94c292-f8ef-4ee7-b2f9-57261b1e996a"
OTHER = "1b94c292-f8ef-4ee7-b2f9-57261b1e996b"


@pytest.mark.parametrize(
    "url",
    [
        f"Binary/{ID}",
        f"http://localhost:8103/storage/{ID}/{OTHER}?Expires=1&Signature=Binary/{OTHER}",
        f"https://storage.example.com/storage/{ID}/{OTHER}",
    ],
)
async def test_the_binary_of_a_bot(url: str) -> None:
    """The Binary is found in a plain reference and in a presigned address alike."""
    client = Client(url)
    assert await code.read(client, "b1") == b"code"  # type: ignore[arg-type]
    assert client.binaries == [ID]


@pytest.mark.parametrize("url", [None, "https://elsewhere.example.com/code.js", "Binary/short"])
async def test_a_bot_without_code_here(url: str | None) -> None:
    """Code that is not on this server is not fetched from anywhere else."""
    client = Client(url)
    assert await code.read(client, "b1") is None  # type: ignore[arg-type]
    assert client.binaries == []
