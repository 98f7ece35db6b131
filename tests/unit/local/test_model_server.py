"""The model server's HTTP surface: OpenAI's shapes, refusals, and faults on demand."""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from medbots.local.model_server import app, faults
from tests.support import model_client
from tests.support.model_client import KEY, Asker

PATIENT_TEXT = "Mrs Plant has diabetes"


@pytest.fixture
async def lines() -> list[str]:
    """What the server logs."""
    return []


@pytest.fixture
async def asker(lines: list[str]) -> AsyncIterator[Asker]:
    """A server of 64 components that wants an API key, and a client that has it."""
    async with model_client.asking(lines) as client:
        yield client


async def test_one_text(asker: Asker) -> None:
    """One text gives one vector of length 1, in OpenAI's shape, with its usage."""
    answer = await asker.embed("Type 2 diabetes")
    assert answer.status_code == 200
    body = answer.json()
    (entry,) = body.pop("data")
    assert body == {
        "object": "list",
        "model": "offline-stand-in/feature-hashing-64",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }
    vector = entry.pop("embedding")
    assert entry == {"object": "embedding", "index": 0}
    assert len(vector) == 64
    assert math.hypot(*vector) == pytest.approx(1.0, abs=1e-6)


async def test_many_texts_keep_their_order(asker: Asker) -> None:
    """A list gives its vectors in order, and the same text the same vector every time."""
    texts = ["fever", "cough", "fever"]
    data = (await asker.embed(texts)).json()["data"]
    assert [entry["index"] for entry in data] == [0, 1, 2]
    assert data[0]["embedding"] == data[2]["embedding"] != data[1]["embedding"]
    alone = (await asker.embed("cough")).json()["data"][0]["embedding"]
    assert alone == data[1]["embedding"]


async def test_base64_holds_the_same_numbers(asker: Asker) -> None:
    """encoding_format base64 gives little-endian 32-bit floats."""
    floats = (await asker.embed("fever")).json()["data"][0]["embedding"]
    encoded = (await asker.embed("fever", encoding_format="base64")).json()["data"][0]["embedding"]
    packed = base64.b64decode(encoded)
    assert struct.unpack("<64f", packed) == pytest.approx(floats, abs=1e-6)


async def test_half_a_character(asker: Asker) -> None:
    """Half of a surrogate pair, as a text cut in the middle ends, is embedded as any other sign."""
    body = json.dumps({"model": "embedding-model", "input": "fever \ud83d"})
    answer = await asker.http.post("/v1/embeddings", content=body)
    assert answer.status_code == 200
    assert len(answer.json()["data"]) == 1


async def test_fewer_dimensions(asker: Asker) -> None:
    """`dimensions` shortens the vectors, which keep the length 1."""
    vector = (await asker.embed("fever", dimensions=16)).json()["data"][0]["embedding"]
    assert len(vector) == 16
    assert math.hypot(*vector) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"input": "x"}, "model"),
        ({"model": "embedding-model"}, "'input'"),
        ({"model": "embedding-model", "input": []}, "'input'"),
        ({"model": "embedding-model", "input": ["a", ""]}, "input[1]"),
        ({"model": "embedding-model", "input": [[1, 2]]}, "input[0]"),
        ({"model": "embedding-model", "input": "x", "encoding_format": "hex"}, "encoding_format"),
        ({"model": "embedding-model", "input": "x", "dimensions": 65}, "dimensions"),
        ({"model": "embedding-model", "input": "x", "dimensions": True}, "dimensions"),
        ({"model": "embedding-model", "input": ["x"] * 2049}, "2048"),
        (["no", "object"], "object"),
    ],
)
async def test_bad_requests(asker: Asker, body: Any, said: str) -> None:
    """What cannot be asked is a 400 in OpenAI's shape that names what is wrong."""
    answer = await asker.http.post("/v1/embeddings", json=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert said in error["message"]


async def test_a_body_that_is_no_json(asker: Asker) -> None:
    """A body that is no JSON is a 400 as well."""
    answer = await asker.http.post("/v1/embeddings", content=b"{")
    assert answer.status_code == 400
    assert "JSON" in answer.json()["error"]["message"]


async def test_unknown_model(asker: Asker) -> None:
    """Another model is a 404 with OpenAI's code, which says what there is."""
    answer = await asker.http.post("/v1/embeddings", json={"model": "gpt", "input": "x"})
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"
    assert "'embedding-model'" in answer.json()["error"]["message"]
    assert (await asker.http.get("/v1/models/gpt")).status_code == 404


async def test_models(asker: Asker) -> None:
    """The list names the aliases, and that a stand-in is behind each."""
    answer = await asker.http.get("/v1/models")
    entries = answer.json()["data"]
    assert answer.json()["object"] == "list"
    assert {entry["id"]: entry["owned_by"] for entry in entries} == {
        "embedding-model": "medbots: offline-stand-in/feature-hashing-64",
        "clinical-model": "medbots: offline-stand-in/extractive",
    }
    for entry in entries:
        assert (await asker.http.get(f"/v1/models/{entry['id']}")).json() == entry


async def test_one_alias_for_both() -> None:
    """Where one alias means both models, it is listed once and answers at both endpoints."""
    async with model_client.asking([], alias="m", chat_alias="m") as asker:
        (entry,) = (await asker.http.get("/v1/models")).json()["data"]
        assert entry["id"] == "m"
        assert "feature-hashing" in entry["owned_by"]
        assert "extractive" in entry["owned_by"]
        assert (await asker.embed("a", model="m")).status_code == 200
        assert (await asker.chat(model="m")).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"Authorization": ""}, {"Authorization": "Bearer wrong"}, {"Authorization": KEY}]
)
@pytest.mark.parametrize("path", ["/v1/models", "/health", "/control/faults"])
async def test_a_key_is_wanted(asker: Asker, path: str, headers: dict[str, str]) -> None:
    """Without the key everything but the liveness is a 401."""
    answer = await asker.http.get(path, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert KEY not in answer.text
    assert (await asker.http.get("/health/liveliness", headers=headers)).json() == "I'm alive!"


async def test_health(asker: Asker) -> None:
    """/health has LiteLLM's shape."""
    body = (await asker.http.get("/health")).json()
    assert (body["healthy_count"], body["unhealthy_count"]) == (2, 0)
    assert {one["model"] for one in body["healthy_endpoints"]} == {
        "embedding-model",
        "clinical-model",
    }


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/chat/completions", 405), ("GET", "/", 404), ("GET", "/v1/embeddings", 405)],
)
async def test_what_there_is_not(asker: Asker, method: str, path: str, status: int) -> None:
    """A route that is not there is answered in OpenAI's shape."""
    answer = await asker.http.request(method, path)
    assert answer.status_code == status
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("path", ["/v1/models", "/health", "/health/liveliness"])
async def test_every_answer_says_what_it_is(asker: Asker, path: str) -> None:
    """A header of every answer says that it comes from a stand-in."""
    for headers in ({}, {"Authorization": ""}):
        answer = await asker.http.get(path, headers=headers)
        assert answer.headers[app.STAND_IN_HEADER].startswith("offline; feature-hashing")


async def test_the_log_has_no_text(asker: Asker, lines: list[str]) -> None:
    """The log names caller, task and counts, and neither a text nor the key."""
    await asker.embed([PATIENT_TEXT], {"X-Clinic-Task": "embedding", "X-Bot-Name": "Embedding Bot"})
    entry = json.loads(lines[-1])
    assert (entry["path"], entry["status"], entry["inputs"]) == ("/v1/embeddings", 200, 1)
    assert entry["headers"] == {"X-Clinic-Task": "embedding", "X-Bot-Name": "Embedding Bot"}
    assert "Plant" not in "".join(lines)
    assert KEY not in "".join(lines)
    remembered = (await asker.http.get("/control/requests")).json()["requests"]
    assert [one["inputs"] for one in remembered] == [1]
    assert (await asker.http.delete("/control/requests")).json() == {"requests": []}


async def _wrong_dimension(asker: Asker) -> None:
    answer = await asker.embed(["a", "b"], {faults.HEADER: "wrong-dimension; dimension=1536"})
    assert [len(one["embedding"]) for one in answer.json()["data"]] == [1536, 1536]


async def _too_many(asker: Asker) -> None:
    answer = await asker.embed("a", {faults.HEADER: "429; retryAfter=2"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")
    assert answer.json()["error"]["type"] == "rate_limit_error"


async def _server_error(asker: Asker) -> None:
    answer = await asker.embed("a", {faults.HEADER: "500"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (500, "server_error")


async def _invalid_body(asker: Asker) -> None:
    answer = await asker.embed("a", {faults.HEADER: "invalid-body"})
    assert (answer.status_code, answer.headers["Content-Type"][:9]) == (200, "text/html")


async def _empty(asker: Asker) -> None:
    answer = await asker.embed("a", {faults.HEADER: "empty"})
    assert (answer.status_code, answer.json()["data"]) == (200, [])


async def _slow(asker: Asker) -> None:
    answer = await asker.embed("a", {faults.HEADER: "slow; seconds=0.05"})
    assert (answer.status_code, len(answer.json()["data"])) == (200, 1)
    assert asker.server.requests[-1]["ms"] >= 50


@pytest.mark.parametrize(
    "fault", [_wrong_dimension, _too_many, _server_error, _invalid_body, _empty, _slow]
)
async def test_faults_by_header(asker: Asker, fault: Callable[[Asker], Any]) -> None:
    """A request can ask for each fault, and only it meets it."""
    await fault(asker)
    assert (await asker.embed("a")).status_code == 200


async def test_faults_of_the_control_endpoint(asker: Asker) -> None:
    """Queued faults come in their order, as often as they say, and then it works again."""
    queued = [{"kind": "429", "times": 2}, {"kind": "500"}]
    answer = await asker.http.post("/control/faults", json=queued)
    assert [one["times"] for one in answer.json()["faults"]] == [2, 1]
    codes = [(await asker.embed("a")).status_code for _ in range(4)]
    assert codes == [429, 429, 500, 200]


async def test_a_fault_until_it_is_cleared(asker: Asker) -> None:
    """Times 0 means every request, until the faults are cleared."""
    await asker.http.post("/control/faults", json=[{"kind": "500", "times": 0}])
    assert [(await asker.embed("a")).status_code for _ in range(3)] == [500, 500, 500]
    assert (await asker.http.delete("/control/faults")).json() == {"faults": []}
    assert (await asker.embed("a")).status_code == 200


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"kind": "500"}, "must be a list"),
        (["500"], "faults[0]: must be an object"),
        ([{"kind": "503"}], "faults[0].kind: must be one of slow, 429"),
        ([{"kind": "500", "time": 3}], "unknown 'time'"),
        ([{"kind": "slow", "seconds": 3000}], "faults[0].seconds"),
        ([{"kind": "500", "times": -1}], "faults[0].times"),
        ([{"kind": "500", "times": True}], "faults[0].times"),
        ([{"kind": "500", "task": 3}], "faults[0].task: must be a text"),
        ([{"kind": "500", "bot": ""}], "faults[0].bot"),
        ([{"kind": "500", "endpoint": "images"}], "must be one of chat, embeddings"),
        ([{"kind": "prose", "endpoint": "embeddings"}], "'prose' never happens at embeddings"),
        ([{"kind": "wrong-dimension", "endpoint": "chat"}], "never happens at chat"),
        ([{"kind": "no-schema", "jsonObject": 2}], "faults[0].jsonObject"),
    ],
)
async def test_bad_faults(asker: Asker, document: Any, said: str) -> None:
    """A fault that cannot be is refused, and nothing is queued."""
    answer = await asker.http.post("/control/faults", json=document)
    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]
    assert asker.server.to_come.pending() == []


@pytest.mark.parametrize("header", ["nonsense", "slow; seconds=long", "429; retryAfter"])
async def test_bad_fault_header(asker: Asker, header: str) -> None:
    """A fault header that cannot be read is a 400 and no answer that looks right."""
    assert (await asker.embed("a", {faults.HEADER: header})).status_code == 400
