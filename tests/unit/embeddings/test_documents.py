"""Texts of records become vectors: prefixed, tried again where that helps, and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx
import pytest

from medbots import errors, secret
from medbots.embeddings import contract, documents
from medbots.embeddings import router as router_module

CONTRACT = contract.Contract("m", 2, "none")


@dataclass
class Router:
    """Answers what it was told to, in turn; the last answer again and again."""

    answers: list[list[list[float]] | Exception]
    seen: list[tuple[str, list[str], str | None]] = field(default_factory=list)

    async def embed(
        self, model: str, texts: Sequence[str], *, task: str | None = None
    ) -> list[list[float]]:
        """Return the next answer, or raise it."""
        self.seen.append((model, list(texts), task))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def subject(
    router: Router, wanted: contract.Contract = CONTRACT
) -> tuple[documents.Documents, list[float]]:
    """Return the code under test, and the pauses that it makes."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    return documents.Documents(router, wanted, pause=pause), pauses


async def test_texts_go_out_as_documents() -> None:
    """A model that tells documents from queries is told that these are documents."""
    router = Router([[[1.0, 0.0]]])
    made, _ = subject(router, contract.Contract("m", 2, "nomic"))
    assert await made.embed(["Asthma"]) == [[1.0, 0.0]]
    assert router.seen == [("m", ["search_document: Asthma"], "embedding")]


async def test_a_busy_router_is_asked_again() -> None:
    """Overload, failure and silence are waited out, as long as the router asks or ever longer."""
    busy: list[list[list[float]] | Exception] = [
        router_module.BusyError("429", pause=7.0),
        errors.UnreachableError("silent"),
        router_module.BusyError("503"),
        [[1.0, 1.0]],
    ]
    made, pauses = subject(Router(busy))
    assert await made.embed(["a"]) == [[1.0, 1.0]]
    assert made.requests == 4
    assert pauses[0] == 7.0
    assert pauses[1] < pauses[2]


async def test_that_it_is_asked_again_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """With the reason and the pause; requests side by side do not repeat each other."""
    made, pauses = subject(Router([router_module.BusyError("HTTP 503", pause=9.0)]))
    with pytest.raises(router_module.BusyError):
        await made.embed(["a"])
    assert len(pauses) == 5
    assert [one.getMessage() for one in caplog.records] == [
        "HTTP 503; asking again in 9.0 s (2 of 6)"
    ]


async def test_where_nothing_listens_the_first_request_fails_at_once() -> None:
    """It is a wrong address; later on it may be a restart, which is waited for."""
    router = Router([router_module.NobodyError("nobody")])
    made, pauses = subject(router)
    with pytest.raises(errors.UnreachableError):
        await made.embed(["a"], first=True)
    assert (made.requests, pauses) == (1, [])
    router.answers = [router_module.NobodyError("nobody"), [[1.0, 1.0]]]
    assert await made.embed(["a"]) == [[1.0, 1.0]]
    assert len(pauses) == 1


@pytest.mark.parametrize(
    ("status", "key", "hint"),
    [
        (503, None, "too much to do"),
        (429, "k", "too much to do"),
        (500, None, "LLM_API_KEY"),
        (404, None, "EMBEDDING_MODEL"),
        (400, "k", "EMBEDDING_MODEL"),
    ],
)
async def test_what_helps_against_an_answer(status: int, key: str | None, hint: str) -> None:
    """Load is no matter of a key, and an unknown alias is one of the setting that names it."""
    transport = httpx.MockTransport(lambda _: httpx.Response(status))
    given = secret.Secret(key) if key else None
    router = router_module.Router("http://localhost", given, transport=transport)
    with pytest.raises(errors.ServerError) as caught:
        await router.embed("m", ["a"])
    assert hint in str(caught.value.hint)
    assert ("LLM_API_KEY" in str(caught.value.hint)) is (hint == "LLM_API_KEY")
    assert caught.value.exit_code == (1 if status in (400, 404) else 5)


async def test_nobody_at_the_address() -> None:
    """It is told from an answer that does not come."""

    def nobody(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    router = router_module.Router("http://localhost", None, transport=httpx.MockTransport(nobody))
    with pytest.raises(router_module.NobodyError, match="no connection"):
        await router.embed("m", ["a"])


async def test_it_gives_up_in_the_end() -> None:
    """A router that stays busy is named after six attempts, and a long wait is not obeyed."""
    made, pauses = subject(Router([router_module.BusyError("429", pause=3600.0)]))
    with pytest.raises(router_module.BusyError):
        await made.embed(["a"])
    assert made.requests == 6
    assert pauses == [30.0] * 5


@pytest.mark.parametrize("error", [errors.NotAllowedError("key"), errors.ServerError("HTTP 400")])
async def test_a_refusal_is_final(error: errors.MedbotsError) -> None:
    """What a second attempt cannot mend is not tried again."""
    made, pauses = subject(Router([error]))
    with pytest.raises(type(error)):
        await made.embed(["a"])
    assert (made.requests, pauses) == (1, [])


@pytest.mark.parametrize(
    ("vector", "said"),
    [
        ([1.0, 2.0, 3.0], "3 dimensions, not 2"),
        ([float("nan"), 1.0], "no number"),
        ([float("inf"), 1.0], "no number"),
        ([0.0, 2.0**-25], "zero vector"),
        ([0.5, -65_505.0], "half precision"),
    ],
)
async def test_what_cannot_be_stored(vector: list[float], said: str) -> None:
    """A vector that the column would refuse, or no search would find, is an error here."""
    made, _ = subject(Router([[[1.0, 1.0], vector]]))
    with pytest.raises(documents.VectorError, match=said):
        await made.embed(["a", "b"])


async def test_vectors_with_the_same_number() -> None:
    """Vectors that are numbered twice belong to nobody."""
    data = [{"index": 0, "embedding": [1, 2]}, {"index": 0, "embedding": [3, 4]}]
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"data": data}))
    router = router_module.Router("http://localhost", None, transport=transport)
    with pytest.raises(errors.ServerError, match="0 vectors for 2 texts"):
        await router.embed("m", ["a", "b"])


@pytest.mark.parametrize(
    ("status", "headers", "pause"),
    [
        (429, {"Retry-After": "3"}, 3.0),
        (429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        (503, {}, None),
        (500, {"Retry-After": "-1"}, None),
    ],
)
async def test_how_a_router_says_that_it_is_busy(
    status: int, headers: dict[str, str], pause: float | None
) -> None:
    """429 and 5xx say that a later attempt may pass, with the pause that was asked for."""
    transport = httpx.MockTransport(lambda _: httpx.Response(status, headers=headers))
    router = router_module.Router("http://localhost", None, transport=transport)
    with pytest.raises(router_module.BusyError, match=f"HTTP {status}") as caught:
        await router.embed("m", ["a"])
    assert caught.value.pause == pause


def test_the_contract_of_the_secrets() -> None:
    """What a project does not say is the default, as for the bots."""
    assert contract.of_secrets({}) == contract.Contract("embedding-model", 768, "none")
    found = contract.of_secrets({"EMBEDDING_MODEL": "x", "EMBEDDING_DIM": "4"})
    assert found.version == "x/4/none"
    assert contract.of_secrets(found.secrets()) == found
    with pytest.raises(errors.InvalidError, match="EMBEDDING_DIM"):
        contract.of_secrets({"EMBEDDING_DIM": "many"})
