"""The model router as seen from here: what is asked, what is refused, what is never sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from medbots import errors, secret
from medbots.embeddings import router as router_module

Handler = Callable[[httpx.Request], httpx.Response]


def router(
    handler: Handler, url: str = "http://localhost:8080", key: str | None = "sk-1", **more: Any
) -> router_module.Router:
    """Return a router that `handler` answers for."""
    return router_module.Router(
        url,
        secret.Secret(key) if key else None,
        origin="env LLM_ROUTER_URL",
        transport=httpx.MockTransport(handler),
        **more,
    )


def answer(status: int, body: Any = None) -> Handler:
    """Return a handler that always answers this."""
    return lambda _: httpx.Response(status, json=body)


async def test_liveliness_sends_no_key_and_calls_no_model() -> None:
    """The probe goes to LiteLLM's liveliness route, without the key."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json="I'm alive!")

    assert await router(handler).alive() == "alive"
    assert [(one.method, one.url.path) for one in seen] == [("GET", "/health/liveliness")]
    assert "Authorization" not in seen[0].headers


async def test_a_router_without_a_liveliness_route_is_alive() -> None:
    """Any other OpenAI-compatible router answers 404 there, and that is an answer."""
    assert await router(answer(404)).alive() == "answers, without a liveliness route (HTTP 404)"


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_gateway_without_a_router_is_not_alive(status: int) -> None:
    """A gateway's own error says that nothing is behind it."""
    with pytest.raises(errors.UnreachableError, match=f"HTTP {status}") as caught:
        await router(answer(status)).alive()
    assert "LLM_ROUTER_URL" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (httpx.ConnectError("refused"), "no connection"),
        (httpx.ReadTimeout("slow"), "no answer within 10 s"),
        (httpx.RemoteProtocolError("bad"), "the connection broke"),
        (httpx.DecodingError("bad"), "the connection broke"),
    ],
)
async def test_no_answer(trouble: httpx.RequestError, said: str) -> None:
    """What went wrong is said with the address and where it came from."""

    def handler(_: httpx.Request) -> httpx.Response:
        raise trouble

    with pytest.raises(errors.UnreachableError, match=said) as caught:
        await router(handler).alive()
    assert "http://localhost:8080 (env LLM_ROUTER_URL)" in caught.value.message


async def test_models() -> None:
    """The list comes with the key, as aliases."""

    def handler(request: httpx.Request) -> httpx.Response:
        assert request.headers["Authorization"] == "Bearer sk-1"
        assert request.url.path == "/v1/models"
        return httpx.Response(200, json={"data": [{"id": "a"}, {"id": "b"}, {"no": "id"}]})

    assert await router(handler).models() == ("a", "b")


@pytest.mark.parametrize(
    ("status", "key", "said"),
    [
        (401, "sk-1", "the key of LLM_API_KEY"),
        (403, "sk-1", "the key of LLM_API_KEY"),
        (400, "sk-1", "the key of LLM_API_KEY"),
        (401, None, "LLM_API_KEY is not set"),
        (500, None, "LLM_API_KEY is not set"),
    ],
)
async def test_a_refused_key(status: int, key: str | None, said: str) -> None:
    """Each way in which routers refuse a key names the setting, and never the key."""
    with pytest.raises(errors.NotAllowedError, match=said) as caught:
        await router(answer(status, {"error": "no sk-1"}), key=key).models()
    assert "sk-1" not in caught.value.message


@pytest.mark.parametrize("status", [404, 500, 503])
async def test_a_failing_router(status: int) -> None:
    """With a key, a failure is the router's."""
    with pytest.raises(errors.ServerError, match=f"HTTP {status}"):
        await router(answer(status)).models()


@pytest.mark.parametrize("body", [{}, {"data": "x"}, {"data": None}])
async def test_no_list_of_models(body: Any) -> None:
    """A document without a list is refused."""
    with pytest.raises(errors.ServerError, match="no list of models"):
        await router(answer(200, body)).models()


async def test_html_instead_of_json() -> None:
    """A page of a proxy is told from a router."""
    with pytest.raises(errors.ServerError, match="OpenAI-compatible"):
        await router(lambda _: httpx.Response(200, html="<p>hello</p>")).models()


async def test_embed() -> None:
    """One call for all texts; vectors come back in the order of the texts."""

    def handler(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        assert body == {"model": "m", "input": ["a", "b"], "encoding_format": "float"}
        data = [{"index": 1, "embedding": [2, 2]}, {"index": 0, "embedding": [1.5, 1]}]
        return httpx.Response(200, json={"data": data})

    assert await router(handler).embed("m", ["a", "b"]) == [[1.5, 1.0], [2.0, 2.0]]


@pytest.mark.parametrize("body", [{"data": []}, {}, {"data": [{"index": 0}]}, {"data": ["x"]}])
async def test_embed_without_enough_vectors(body: Any) -> None:
    """Fewer vectors than texts are an error, never a guess."""
    with pytest.raises(errors.ServerError, match="0 vectors for 1 texts"):
        await router(answer(200, body)).embed("m", ["a"])


async def test_embed_with_an_unknown_alias_is_not_a_refused_key() -> None:
    """A 400 to an embedding is about the request."""
    with pytest.raises(errors.ServerError, match="HTTP 400"):
        await router(answer(400, {"error": "unknown model"})).embed("m", ["a"])


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://llm.example.com:4000", False),
        ("https://llm.example.com", True),
        ("http://127.0.0.1:4000", True),
    ],
)
async def test_the_key_stays_off_plain_http(url: str, allowed: bool) -> None:
    """Beyond this machine the key goes out over TLS only, unless that was allowed."""
    sent: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={"data": []})

    subject = router(handler, url)
    if allowed:
        assert await subject.models() == ()
        return
    with pytest.raises(errors.NotAllowedError, match="unencrypted"):
        await subject.models()
    assert sent == []
    assert await router(handler, url, allow_http=True).models() == ()
    assert await router(handler, url, key=None).models() == ()
