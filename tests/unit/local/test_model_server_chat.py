"""`POST /v1/chat/completions`: OpenAI's shapes and refusals, and what is logged of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from medbots.local.model_server import app, faults
from tests.support import json_schema, model_client, prompts
from tests.support.model_client import Asker
from tests.support.prompts import ANSWER

STAND_IN = "offline-stand-in/extractive"
ASKED: list[dict[str, Any]] = [{"role": "user", "content": "Answer in JSON."}]


@pytest.fixture
async def lines() -> list[str]:
    """What the server logs."""
    return []


@pytest.fixture
async def asker(lines: list[str]) -> AsyncIterator[Asker]:
    """A server that wants an API key, and a client that has it."""
    async with model_client.asking(lines) as client:
        yield client


async def _post(asker: Asker, **body: Any) -> Any:
    whole = {"model": "clinical-model", "messages": ASKED} | body
    return await asker.http.post("/v1/chat/completions", json=whole)


def _schema(schema: Any = ANSWER, **more: Any) -> dict[str, Any]:
    wanted = {"name": "answer", "schema": schema} | more
    return {"type": "json_schema", "json_schema": wanted}


async def test_an_answer(asker: Asker) -> None:
    """The answer has OpenAI's shape, conforms to the schema, and names a stand-in as its model."""
    answer = await asker.chat(ANSWER)
    assert answer.status_code == 200
    assert answer.headers[app.STAND_IN_HEADER] == "offline; extractive; not for clinical use"
    body = answer.json()
    (choice,) = body.pop("choices")
    content = choice["message"].pop("content")
    assert choice == {
        "index": 0,
        "message": {"role": "assistant", "refusal": None},
        "logprobs": None,
        "finish_reason": "stop",
    }
    assert json_schema.faults(json.loads(content), ANSWER) == []
    assert [one["citations"] for one in json.loads(content)["sentences"]] == [["S1"], ["S2"]]
    usage = body.pop("usage")
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["completion_tokens"] == -(-len(content) // 4)
    assert body.pop("id").startswith("chatcmpl-")
    assert body == {
        "object": "chat.completion",
        "created": int(model_client.NOW),
        "model": STAND_IN,
    }


async def test_the_same_request_has_the_same_answer(asker: Asker) -> None:
    """Nothing of an answer is left to chance; another request has another id."""
    first, again, other = [
        (await asker.chat(ANSWER, question)).json() for question in ("HbA1c?", "HbA1c?", "Fever?")
    ]
    assert first == again
    assert first["id"] != other["id"]


async def test_plain_text(asker: Asker) -> None:
    """Without a format the answer is sentences that name their sources."""
    content = (await asker.chat()).json()["choices"][0]["message"]["content"]
    assert content.endswith("Observation: Hemoglobin A1c; Value: 7.1 % [S2].")
    silent = (await asker.chat(question="Shoe size?")).json()["choices"][0]["message"]["content"]
    assert silent == "Not documented in the sources given."


async def test_a_json_object(asker: Asker) -> None:
    """Where only JSON is asked for, the schema that the instructions quote is kept to."""
    wanted = {"type": "json_object"}
    content = (await asker.chat(response_format=wanted)).json()["choices"][0]["message"]["content"]
    assert set(json.loads(content)) == {"answerable", "answer", "citations"}
    messages = [
        {"role": "system", "content": f"Answer as {json.dumps(ANSWER)}"},
        {"role": "user", "content": prompts.message(prompts.CHART, "HbA1c?")},
    ]
    for form in (wanted, None):
        answer = await _post(asker, messages=messages, response_format=form)
        content = answer.json()["choices"][0]["message"]["content"]
        assert json_schema.faults(json.loads(content), ANSWER) == []
        assert json.loads(content)["answerable"] is True


async def test_a_health_check(asker: Asker) -> None:
    """A health check gets a short answer that says what answers."""
    answer = await asker.chat(headers={"X-Clinic-Task": "health_check"})
    assert answer.json()["choices"][0]["message"]["content"] == "This offline stand-in answers."
    wanted = prompts.an_object(ok={"type": "boolean"})
    answer = await asker.chat(wanted, headers={"X-Clinic-Task": "health_check"})
    assert json.loads(answer.json()["choices"][0]["message"]["content"]) == {"ok": True}


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_max_tokens(asker: Asker, name: str) -> None:
    """An answer longer than allowed is cut, and the finish reason tells."""
    body = (await asker.chat(ANSWER, **{name: 5})).json()
    assert body["choices"][0]["finish_reason"] == "length"
    assert len(body["choices"][0]["message"]["content"]) == 20
    assert body["usage"]["completion_tokens"] == 5


async def test_what_is_taken(asker: Asker) -> None:
    """Parameters that change nothing here, parts of text and turns of an assistant are taken."""
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "Answer in JSON."}]},
        {"role": "user", "content": "Half of a pair: \ud83d"},
        {"role": "assistant", "content": None},
        {"role": "user", "content": "Again."},
    ]
    more = {"temperature": 0.1, "top_p": 1, "n": 1, "stream": False, "seed": 7, "user": "u"}
    nothing = {"tools": [], "tool_choice": "none", "stop": None}
    wanted = prompts.an_object(kind={"enum": ["half \ud83d"]})
    body = {"model": "clinical-model", "messages": messages, "response_format": _schema(wanted)}
    raw = json.dumps(body | more | nothing)
    answer = await asker.http.post("/v1/chat/completions", content=raw)
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"] == '{"kind": "half ?"}'


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        ({"model": None}, "model", "you must provide a model parameter"),
        ({"messages": None}, "messages", "'messages' must be a list"),
        ({"messages": []}, "messages", "not empty"),
        ({"messages": ["x"]}, "messages[0]", "must be an object"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", "'system'"),
        ({"messages": [*ASKED, {"role": "user"}]}, "messages[1].content", "must be a string"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content",
            "type 'text'",
        ),
        ({"stream": True}, "stream", "does not stream"),
        ({"n": 2}, "n", "one answer"),
        ({"temperature": 2.1}, "temperature", "from 0 to 2"),
        ({"temperature": "0"}, "temperature", "must be a number"),
        ({"top_p": True}, "top_p", "must be a number"),
        ({"max_tokens": 0}, "max_tokens", "whole number"),
        ({"max_tokens": 1.5}, "max_tokens", "whole number"),
        ({"tools": [{"type": "function"}]}, "tools", "not supported"),
        ({"max_token": 5}, "max_token", "Unrecognized request argument supplied: max_token"),
        ({"response_format": "json"}, "response_format.type", "'json_object'"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "'json_schema'"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "Missing"),
        (
            {"response_format": _schema(name="no spaces")},
            "response_format.json_schema.name",
            "1 to 64 letters",
        ),
        (
            {"response_format": _schema(strict="yes")},
            "response_format.json_schema.strict",
            "true or false",
        ),
        (
            {"response_format": _schema({"type": "object", "oneOf": []})},
            "response_format.json_schema.schema",
            "'oneOf' is not supported",
        ),
        (
            {"response_format": _schema({"type": "array"})},
            "response_format.json_schema.schema",
            "must be 'object'",
        ),
        (
            {"response_format": _schema(prompts.an_object(x={"enum": ["a"], "maxLength": 0}))},
            "response_format",
            "no value for 'x'",
        ),
        (
            {
                "messages": [{"role": "user", "content": "x"}],
                "response_format": {"type": "json_object"},
            },
            "messages",
            "must contain the word 'json'",
        ),
    ],
)
async def test_bad_requests(asker: Asker, body: dict[str, Any], param: str, said: str) -> None:
    """What cannot be asked is a 400 in OpenAI's shape that names parameter and reason."""
    answer = await _post(asker, **body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert said in error["message"]


@pytest.mark.parametrize("raw", [b"{", b"[]", b"", b"[" * 100_000])
async def test_a_body_that_is_no_object(asker: Asker, raw: bytes) -> None:
    """A body that is no JSON object is a 400 as well."""
    answer = await asker.http.post("/v1/chat/completions", content=raw)
    assert answer.status_code == 400


async def test_an_alias_of_the_other_kind(asker: Asker) -> None:
    """A model of embeddings does not chat, nor the other way round; an unknown one is not there."""
    answer = await _post(asker, model="embedding-model")
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, "model")
    assert "no model of chat" in answer.json()["error"]["message"]
    answer = await asker.embed("x", model="clinical-model")
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, "model")
    assert "no model of embeddings" in answer.json()["error"]["message"]
    answer = await _post(asker, model="gpt")
    assert answer.json()["error"]["code"] == "model_not_found"
    assert "'embedding-model' and 'clinical-model'" in answer.json()["error"]["message"]


async def test_a_key_is_wanted(asker: Asker) -> None:
    """Without the key nobody chats."""
    answer = await asker.chat(headers={"Authorization": ""})
    assert answer.status_code == 401
    assert asker.server.requests[-1]["status"] == 401


async def test_the_log_has_no_text(asker: Asker, lines: list[str]) -> None:
    """The log names caller, task, schema and counts; no word of prompt, sources or answer."""
    headers = {"X-Clinic-Task": "rag_query", "X-Bot-Name": "RAG Bot", faults.HEADER: "prose"}
    answer = await asker.chat(ANSWER, headers=headers)
    (entry,) = (await asker.http.get("/control/requests")).json()["requests"]
    characters = len(prompts.message(prompts.CHART, "What was the HbA1c?"))
    assert {name: entry[name] for name in entry if name not in ("ms", "headers")} == {
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 200,
        "task": "rag_query",
        "bot": "RAG Bot",
        "schema": "answer",
        "sources": 4,
        "promptCharacters": characters + len("You answer from sources."),
        "fault": "prose",
    }
    assert json.loads(lines[0])["sources"] == 4
    said = answer.json()["choices"][0]["message"]["content"]
    for word in ("Hemoglobin", "HbA1c", "diabetes", "metformin", "8.2"):
        assert word not in "".join(lines)
        assert word in said or word in prompts.message(prompts.CHART, "HbA1c?")


async def test_every_answer_is_honest(asker: Asker) -> None:
    """Whatever goes wrong on demand, an answer never names another model than the stand-in."""
    for kind in faults.Kind:
        answer = await asker.chat(ANSWER, headers={faults.HEADER: f"{kind}; seconds=0"})
        assert answer.headers[app.STAND_IN_HEADER].startswith("offline; extractive")
        if answer.headers["Content-Type"] == "application/json" and answer.status_code == 200:
            assert answer.json()["model"] == STAND_IN
