"""The client: what it sends, what it returns, and what it makes of an answer that is an error."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from medbots import errors, secret, state
from medbots.medplum import client, credentials, http, identity, retry, tokens

BASE = "https://m.example.com/medplum/"
FHIR = "/medplum/fhir/R4/"


class Server:
    """Answers each request by the next of its answers, the last one for ever."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        self.requests.append(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @property
    def last(self) -> httpx.Request:
        """The request that came last."""
        return self.requests[-1]

    @property
    def body(self) -> Any:
        """The JSON that came last."""
        return json.loads(self.last.content)


def connected(server: Server, *, super_admin: bool = False) -> client.Client:
    """Return a client of the server."""

    async def sleep(_: float) -> None:
        return

    connection = http.Http(
        BASE,
        transport=httpx.MockTransport(server),
        policy=retry.Policy(attempts=2),
        sleep=sleep,
    )
    access = secret.Secret("plant-token")
    who = identity.Identity(
        identity.ProjectRef("p1", "Clinic"),
        state.Rights(admin=True, super_admin=super_admin),
        "ada@example.com",
        "Practitioner/1",
        "m1",
    )
    source = credentials.GivenToken(access, "env MEDPLUM_ACCESS_TOKEN")
    return client.Client(connection, source, tokens.Tokens(access), who)


def outcome(text: str, severity: str = "error") -> dict[str, Any]:
    """Return an OperationOutcome."""
    issue = {"severity": severity, "code": "x", "details": {"text": text}}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def good(document: Any = None) -> httpx.Response:
    """Return a success."""
    return httpx.Response(200, json=document if document is not None else {"id": "1"})


async def test_get() -> None:
    """A read goes to the server's own path, as the login, and returns the JSON."""
    server = Server(good({"resourceType": "Bot", "id": "1"}))
    assert await connected(server).get("fhir/R4/Bot/1") == {"resourceType": "Bot", "id": "1"}
    assert str(server.last.url) == f"https://m.example.com{FHIR}Bot/1"
    assert server.last.headers["Authorization"] == "Bearer plant-token"
    assert server.last.headers["Accept"] == "application/fhir+json"
    assert server.last.headers["User-Agent"].startswith("medbots/")
    assert "X-Medplum" not in server.last.headers


async def test_get_extended_with_parameters() -> None:
    """Where it is asked for, the answer tells the project; parameters are encoded."""
    server = Server(good())
    params = {"name": "a&b", "_fields": "name"}
    await connected(server).get("fhir/R4/Bot", params, extended=True)
    assert server.last.headers["X-Medplum"] == "extended"
    assert dict(server.last.url.params) == params


async def test_post() -> None:
    """A create sends FHIR JSON, in UTF-8."""
    server = Server(httpx.Response(201, json={"id": "1"}))
    body = {"resourceType": "Task", "description": "größer"}
    assert await connected(server).post("fhir/R4/Task", body) == {"id": "1"}
    assert server.body == body
    assert "größer".encode() in server.last.content
    assert server.last.headers["Content-Type"] == "application/fhir+json"
    await connected(server).post("admin/projects/p1/bot", {})
    assert server.last.headers["Content-Type"] == "application/json"


async def test_post_refuses_what_is_no_json() -> None:
    """NaN has no JSON, and never reaches a server."""
    server = Server(good())
    with pytest.raises(ValueError, match="not JSON compliant"):
        await connected(server).post("fhir/R4/Observation", {"value": float("nan")})
    assert server.requests == []


async def test_conditional_create() -> None:
    """The condition is a header; a lost race is run again."""
    server = Server(httpx.Response(409, json=outcome("Conflict")), good())
    await connected(server).post("fhir/R4/Device", {}, if_none_exist="identifier=a|b")
    assert server.last.headers["If-None-Exist"] == "identifier=a|b"
    assert len(server.requests) == 2


async def test_put_with_version() -> None:
    """A replacement may name the version it replaces."""
    server = Server(good())
    await connected(server).put("fhir/R4/Bot/1", {"id": "1"}, if_match="v7")
    assert (server.last.method, server.last.headers["If-Match"]) == ("PUT", 'W/"v7"')
    await connected(server).put("fhir/R4/Bot/1", {"id": "1"})
    assert "If-Match" not in server.last.headers


async def test_put_stale() -> None:
    """Somebody else's change is a conflict, and not overwritten by trying again."""
    server = Server(httpx.Response(412, json=outcome("Precondition Failed")))
    with pytest.raises(errors.ConflictError, match="changed by somebody else in the meantime"):
        await connected(server).put("fhir/R4/Bot/1", {}, if_match="v7")
    assert len(server.requests) == 1


async def test_patch() -> None:
    """A patch is sent as JSON Patch, and again after a lost race."""
    server = Server(httpx.Response(409, json=outcome("Conflict")), good())
    operations = [{"op": "add", "path": "/features", "value": ["bots"]}]
    await connected(server).patch("fhir/R4/Project/p1", operations)
    assert server.body == operations
    assert server.last.headers["Content-Type"] == "application/json-patch+json"
    assert len(server.requests) == 2


async def test_lost_race_again_and_again() -> None:
    """A race that is lost every time is a conflict."""
    server = Server(httpx.Response(409, json=outcome("Conflict: row is locked")))
    with pytest.raises(errors.ConflictError, match="row is locked"):
        await connected(server).put("fhir/R4/Bot/1", {})


async def test_delete() -> None:
    """A delete returns nothing, and of what is gone says so."""
    server = Server(
        good(outcome("All OK", "information")), httpx.Response(410, json=outcome("Gone"))
    )
    one = connected(server)
    assert await one.delete("fhir/R4/Bot/1") is None
    with pytest.raises(errors.NotFoundError, match="deleted"):
        await one.delete("fhir/R4/Bot/1")


async def test_empty_answer() -> None:
    """A success without a body is a success."""
    assert await connected(Server(httpx.Response(204))).post("fhir/R4/Bot/1/$x", {}) is None


async def test_success_that_is_an_error() -> None:
    """A 200 that carries an error OperationOutcome is a failure."""
    server = Server(good(outcome("Bots not enabled")))
    with pytest.raises(errors.ServerError, match="Bots not enabled"):
        await connected(server).post("fhir/R4/Bot/1/$deploy", {})


async def test_success_that_is_an_outcome() -> None:
    """A 200 that says "All OK" is one."""
    fine = outcome("All OK", "information")
    assert await connected(Server(good(fine))).post("fhir/R4/Bot/1/$deploy", {}) == fine


async def test_text_instead_of_json() -> None:
    """A bot may answer with text; elsewhere that is an error."""
    server = Server(httpx.Response(200, text="hello", headers={"Content-Type": "text/plain"}))
    assert await connected(server).post("fhir/R4/Bot/1/$execute", {}, text=True) == "hello"
    with pytest.raises(errors.ServerError, match="answered text/plain instead of JSON"):
        await connected(server).get("fhir/R4/Bot/1")


@pytest.mark.parametrize("value", [b"null", b"false", b"0", b'""', b"[]"])
async def test_falsy_json_is_json(value: bytes) -> None:
    """What a bot returns is returned, also where it is false or nothing."""
    server = Server(
        httpx.Response(200, content=value, headers={"Content-Type": "application/json"})
    )
    found = await connected(server).post("fhir/R4/Bot/1/$execute", {}, text=True)
    assert found == json.loads(value)


async def test_refusal_names_no_query_and_no_body() -> None:
    """An error names method and path; what was searched or sent may be about a patient."""
    server = Server(httpx.Response(400, json=outcome("Unknown search parameter")))
    with pytest.raises(errors.ServerError) as caught:
        await connected(server).get("fhir/R4/Patient", {"name": "Jane Roe"})
    assert caught.value.message == "GET fhir/R4/Patient: Unknown search parameter (HTTP 400)"
    with pytest.raises(errors.ServerError) as caught:
        await connected(server).post("fhir/R4/Patient?x=Jane", {"name": "Jane Roe"})
    assert "Jane" not in caught.value.message


async def test_search_reads_every_page() -> None:
    """Pages are followed to the end; an empty search yields nothing."""
    link = {"relation": "next", "url": f"https://internal:8103{FHIR}Bot?_count=2&_cursor=abc"}
    server = Server(
        good({"entry": [{"resource": {"id": "1"}}, {"resource": {"id": "2"}}], "link": [link]}),
        good({"entry": [{"resource": {"id": "3"}}], "link": [{"relation": "self", "url": "x"}]}),
    )
    found = [one["id"] async for one in connected(server).search("Bot", {"_count": 2})]
    assert found == ["1", "2", "3"]
    # The server knows itself by another name; the login goes only to ours.
    assert str(server.last.url) == f"https://m.example.com{FHIR}Bot?_count=2&_cursor=abc"
    empty = Server(good({"resourceType": "Bundle", "type": "searchset"}))
    assert [one async for one in connected(empty).search("Bot")] == []
    assert empty.last.url.params["_count"] == "1000"


async def test_search_that_never_ends() -> None:
    """A page that names itself as the next is not read for ever."""
    link = {"relation": "next", "url": f"{BASE}fhir/R4/Bot?_count=1000"}
    server = Server(good({"entry": [], "link": [link]}))
    with pytest.raises(errors.ServerError, match="never ends"):
        _ = [one async for one in connected(server).search("Bot")]


@pytest.mark.parametrize("answer", [[], "x", 7])
async def test_answer_of_another_shape(answer: Any) -> None:
    """JSON that is no object where one must be is an error, not a crash."""
    one = connected(Server(good(answer)))
    with pytest.raises(errors.ServerError, match="fhir/R4/Bot: the server answered"):
        _ = [found async for found in one.search("Bot")]
    with pytest.raises(errors.ServerError, match="Binary: the server answered"):
        await one.upload(b"", "x.js", "text/javascript")


async def test_batch() -> None:
    """One request carries all entries; results stand in their order and fail one by one."""
    server = Server(
        good(
            {
                "entry": [
                    {"resource": {"id": "1"}, "response": {"status": "200"}},
                    {"response": {"status": "403", "outcome": outcome("Forbidden")}},
                    {"resource": {"id": "2"}, "response": {"status": "201 Created"}},
                    {"response": {"outcome": outcome("broken")}},
                    {"response": {"status": "200", "outcome": outcome("Bots not enabled")}},
                ]
            }
        )
    )
    entries = [
        client.BatchEntry("GET", "Bot/1"),
        client.BatchEntry("GET", "ProjectMembership?profile=Bot/1"),
        client.BatchEntry("POST", "Task", {"resourceType": "Task"}),
        client.BatchEntry("GET", "Bot/2"),
        client.BatchEntry("POST", "Bot/1/$deploy", {"code": ""}),
    ]
    results = await connected(server).batch(entries)
    assert len(server.requests) == 1
    assert server.last.url.path == FHIR
    assert server.body["type"] == "batch"
    assert server.body["entry"][2] == {
        "request": {"method": "POST", "url": "Task"},
        "resource": {"resourceType": "Task"},
    }
    assert "resource" not in server.body["entry"][0]
    assert [one.status for one in results] == [200, 403, 201, 500, 200]
    assert (results[0].value(), results[2].value()) == ({"id": "1"}, {"id": "2"})
    with pytest.raises(errors.NotAllowedError, match="GET ProjectMembership: not allowed"):
        results[1].value()
    with pytest.raises(errors.ServerError, match="broken"):
        results[3].value()
    with pytest.raises(errors.ServerError, match="Bots not enabled"):
        results[4].value()


async def test_batch_of_nothing() -> None:
    """Without entries there is no request."""
    server = Server(good())
    assert await connected(server).batch([]) == []
    assert server.requests == []


@pytest.mark.parametrize("answer", [{}, {"entry": []}, {"entry": "x"}, [], {"entry": [1]}])
async def test_batch_that_is_not_answered_in_full(answer: Any) -> None:
    """An answer that lacks entries is an error, not a success of those that are there."""
    with pytest.raises(errors.ServerError, match="not answered in full"):
        await connected(Server(good(answer))).batch([client.BatchEntry("GET", "Bot/1")])


@pytest.mark.parametrize(("method", "requests"), [("GET", 2), ("POST", 1)])
async def test_only_batches_of_reads_are_repeated(method: str, requests: int) -> None:
    """A batch that writes is not sent twice after a gateway's trouble."""
    server = Server(httpx.Response(502))
    with pytest.raises(errors.UnreachableError):
        await connected(server).batch([client.BatchEntry(method, "Task", {})])
    assert len(server.requests) == requests


async def test_extended_batch() -> None:
    """The header on the batch holds for its entries."""
    server = Server(good({"entry": [{"response": {"status": "200"}}]}))
    await connected(server).batch([client.BatchEntry("GET", "Bot/1")], extended=True)
    assert server.last.headers["X-Medplum"] == "extended"


async def test_upload_and_read() -> None:
    """A file is stored as it is, and read as it is, whatever its type."""
    server = Server(httpx.Response(201, json={"resourceType": "Binary", "id": "b1"}))
    code = b"exports.handler = () => '\xc3\xbc';\n"
    found = await connected(server).upload(code, "a b.js", "application/javascript")
    assert found == "b1"
    answer = {"resourceType": "Binary", "id": "b1", "meta": {"versionId": "v1"}}
    server = Server(httpx.Response(201, json=answer))
    found = await connected(server).upload(code, "a b.js", "application/javascript")
    assert found == "b1/v1"
    assert server.last.content == code
    assert server.last.headers["Content-Type"] == "application/javascript"
    assert str(server.last.url) == f"https://m.example.com{FHIR}Binary?_filename=a+b.js"
    for kind in ("text/html", "application/fhir+json"):
        stored = Server(httpx.Response(200, content=b"{<p>", headers={"Content-Type": kind}))
        assert await connected(stored).read_binary("b1") == b"{<p>"


async def test_read_of_a_missing_file() -> None:
    """A Binary that is not there is an error, not its message as content."""
    with pytest.raises(errors.NotFoundError):
        await connected(Server(httpx.Response(404, json=outcome("Not found")))).read_binary("b1")


@pytest.mark.parametrize(
    ("path", "held"),
    [
        ("fhir/R4/Bot", "_project=p1"),
        ("fhir/R4/Bot?name=x", "name=x&_project=p1"),
        ("fhir/R4/Bot/?name=x", "name=x&_project=p1"),
        ("fhir/R4/Bot?_project=p2", "_project=p2"),
        ("fhir/R4/Bot/1", ""),
        ("fhir/R4/Bot/1/_history?_count=1", "_count=1"),
        ("fhir/R4/$meta", ""),
        ("admin/projects/p1", ""),
    ],
)
async def test_super_admin_is_held_to_the_project(path: str, held: str) -> None:
    """Whoever sees every project searches in one; who sees one is left alone."""
    server = Server(good())
    await connected(server, super_admin=True).get(path)
    assert server.last.url.query.decode() == held
    await connected(server).get(path)
    assert server.last.url.query.decode() == path.partition("?")[2]


async def test_super_admin_is_held_in_every_kind_of_search() -> None:
    """Batches, pages, conditional creates and conditional updates search too."""
    server = Server(good({"entry": [{"response": {"status": "200"}}]}))
    one = connected(server, super_admin=True)
    await one.batch([client.BatchEntry("GET", "Bot?name=x")])
    assert server.body["entry"][0]["request"]["url"] == "Bot?name=x&_project=p1"
    await one.post("fhir/R4/Device", {}, if_none_exist="identifier=a")
    assert server.last.headers["If-None-Exist"] == "identifier=a&_project=p1"
    await one.put("fhir/R4/Device?identifier=a", {})
    assert server.last.url.query.decode() == "identifier=a&_project=p1"
    _ = [found async for found in connected(Server(good({})), super_admin=True).search("Bot")]
    await one.post("fhir/R4/Device", {"resourceType": "Device"})
    assert server.last.url.query == b""


async def test_no_path_leaves_the_server() -> None:
    """A login cannot be sent to another host by an absolute path."""
    server = Server(good())
    with pytest.raises(ValueError, match="relative"):
        await connected(server).get("https://evil.example.com/fhir/R4/Bot")
    assert server.requests == []
