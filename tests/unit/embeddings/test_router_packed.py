"""Vectors in base64: taken only from a router that answers the same ones as in numbers."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

from medbots import errors
from medbots.embeddings import direct
from tests.unit.embeddings.test_router import answer, router

VECTOR = [0.1, -0.25, 3.0]


def packed(vector: Sequence[float]) -> str:
    """Return 32-bit floats in base64."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def answering(embedding: Any) -> Callable[[httpx.Request], httpx.Response]:
    """Return a router that answers numbers, and this where base64 is asked for."""

    def handler(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        if body["encoding_format"] == "float":
            return httpx.Response(
                200, json={"data": [{"embedding": VECTOR} for _ in body["input"]]}
            )
        if isinstance(embedding, int):
            return httpx.Response(embedding, json={})
        return httpx.Response(200, json={"data": [{"embedding": embedding} for _ in body["input"]]})

    return handler


async def test_a_router_that_packs_is_believed() -> None:
    """The same vector in both forms; one that ignores the wish answers numbers, and may."""
    model = router(answering(packed(VECTOR)))
    assert await model.packs("m", "text")
    (found,) = await model.embed("m", ["text"], packed=True)
    assert found == pytest.approx(VECTOR, rel=1e-7)
    assert await router(answering(VECTOR)).packs("m", "text")


@pytest.mark.parametrize(
    "embedding",
    [
        400,
        500,
        packed([0.1, -0.25]),
        packed([0.2, -0.25, 3.0]),
        packed([float("nan"), -0.25, 3.0]),
        base64.b64encode(struct.pack("<3d", *VECTOR)).decode(),
        "no base64!",
        packed(VECTOR)[:-4],
        None,
    ],
    ids=["400", "500", "short", "other", "nan", "doubles", "garbage", "cut", "none"],
)
async def test_one_that_does_not_is_asked_for_numbers(embedding: Any) -> None:
    """Refused, cut, or another vector: nothing is raised, and texts are asked for in numbers."""
    model = router(answering(embedding))
    assert not await model.packs("m", "text")
    found = await direct.Packing(model).embed("m", ["one", "two"])
    assert found == [VECTOR, VECTOR]


async def test_a_router_that_does_not_answer_is_an_error() -> None:
    """What fails in numbers too is no matter of the form."""
    with pytest.raises(errors.MedbotsError):
        await router(answer(503)).packs("m", "text")


async def test_it_is_asked_once() -> None:
    """The first call finds out; the others use it."""
    seen: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(json.loads(request.content)["encoding_format"])
        return answering(packed(VECTOR))(request)

    model = direct.Packing(router(handler))
    await model.embed("m", ["one"])
    await model.embed("m", ["two"])
    assert seen == ["float", "base64", "base64", "base64"]
