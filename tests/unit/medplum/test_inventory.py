"""What a project holds: paged by cursor, and nothing taken for gone that may be there."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from medbots import errors
from medbots.inventory import Version
from medbots.medplum import inventory
from tests.unit.medplum.test_client import BASE, FHIR, Server, connected, good, outcome

ONE = "11111111-1111-4111-8111-111111111111"
TWO = "22222222-2222-4222-8222-222222222222"
MOMENT = dt.datetime(2026, 1, 2, 3, 4, 5, 678_000, dt.UTC)


def resource(name: str = ONE, **meta: Any) -> dict[str, Any]:
    """Return a Condition with its version."""
    known = {"versionId": "v1", "lastUpdated": "2026-01-02T03:04:05.678Z"}
    return {"resourceType": "Condition", "id": name, "meta": known | meta}


def page(*found: dict[str, Any], after: str | None = None) -> httpx.Response:
    """Return a page of a search, and a link to the next one."""
    link = [{"relation": "next", "url": f"http://inside:8103/fhir/R4/{after}"}] if after else []
    entries = [{"resource": one} for one in found]
    return good({"resourceType": "Bundle", "entry": entries, "link": link})


def server_of(server: Server, *, super_admin: bool = False) -> inventory.Server:
    """Return the adapter."""
    return inventory.Server(connected(server, super_admin=super_admin), "urn:x")


async def test_pages_follow_the_cursor() -> None:
    """Oldest change first, light, from the instant on; the next page by the server's own link."""
    server = Server(
        page(resource(), after="Condition?_cursor=2-1767323045678-a&_sort=_lastUpdated"),
        page(resource(TWO)),
    )
    found = [one async for one in server_of(server).pages("Condition", MOMENT)]
    assert found == [[Version(ONE, "v1", MOMENT)], [Version(TWO, "v1", MOMENT)]]
    asked = server.requests[0].url.params
    assert (asked["_sort"], asked["_fields"]) == ("_lastUpdated", "id")
    assert asked["_lastUpdated"] == "ge2026-01-02T03:04:05.678+00:00"
    assert str(server.last.url).startswith(
        f"{BASE.removesuffix('/medplum/')}{FHIR}Condition?_cursor"
    )


@pytest.mark.parametrize(
    "bad",
    [resource("not-a-uuid"), resource(versionId=None), {"resourceType": "Condition", "meta": {}}],
)
async def test_a_resource_without_its_version_is_an_error(bad: dict[str, Any]) -> None:
    """What no row can stand for ends the run instead of being passed over."""
    with pytest.raises(errors.ServerError, match="without its version"):
        await server_of(Server(page(bad))).versions("Condition", [ONE])


async def test_versions_of_nothing_ask_nothing() -> None:
    """No id, no request; an empty `_id` would find everything."""
    server = Server(good())
    assert await server_of(server).versions("Condition", []) == []
    assert await server_of(server).records("Condition", []) == []
    assert server.requests == []


@pytest.mark.parametrize("status", [404, 410])
async def test_only_the_servers_own_word_makes_a_resource_gone(status: int) -> None:
    """404 and 410 with an OperationOutcome: it is gone."""
    answer = httpx.Response(status, json=outcome("Not found"))
    assert await server_of(Server(answer)).gone("Condition", ONE)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(
            404, text="<html>no such site</html>", headers={"Content-Type": "text/html"}
        ),
        httpx.Response(404, text=""),
        httpx.Response(403, json=outcome("Forbidden")),
        httpx.Response(401, json=outcome("Unauthorized")),
        httpx.Response(502, text="Bad gateway"),
        httpx.Response(500, json=outcome("Internal error")),
        httpx.Response(200, json=outcome("Internal error")),
    ],
    ids=["proxy", "empty", "forbidden", "logged-out", "gateway", "failed", "failed-200"],
)
async def test_whatever_else_is_an_error(answer: httpx.Response) -> None:
    """A proxy's 404, a refusal or a failure never makes a resource pass for gone."""
    with pytest.raises(errors.MedbotsError):
        await server_of(Server(answer)).gone("Condition", ONE)


async def test_a_resource_of_another_project_is_gone_from_this_one() -> None:
    """A super admin reads every project's: only the project's own count."""
    own, foreign = resource(project="p1"), resource(project="p2")
    assert not await server_of(Server(good(own)), super_admin=True).gone("Condition", ONE)
    assert await server_of(Server(good(foreign)), super_admin=True).gone("Condition", ONE)


@pytest.mark.parametrize("kind", ["Binary", "Medication"])
async def test_what_is_another_projects_is_read_for_no_text(kind: str) -> None:
    """A record may name whatever there is: no super admin's rights bring it into its text."""
    foreign = {"resourceType": kind, "id": ONE, "meta": {"project": "p2"}}
    own = foreign | {"meta": {"project": "p1"}}
    server = Server(good(foreign), good(own))
    reader = server_of(server, super_admin=True)
    assert await reader.record(kind, ONE) is None
    assert await reader.record(kind, ONE) == own
    assert server.last.headers["X-Medplum"] == "extended"


async def test_what_a_linked_project_shares_is_read() -> None:
    """Where the server itself holds the login to what a bot may read, its word counts."""
    shared = {"resourceType": "Medication", "id": ONE, "meta": {"project": "p2"}}
    assert await server_of(Server(good(shared))).record("Medication", ONE) == shared


@pytest.mark.parametrize(
    ("membership", "allowed"),
    [
        ({}, True),
        ({"accessPolicy": {"reference": "AccessPolicy/1"}}, False),
        ({"access": [{"policy": {"reference": "AccessPolicy/1"}}]}, False),
        ({"access": []}, True),
    ],
)
async def test_a_limited_login_is_refused(membership: dict[str, Any], allowed: bool) -> None:
    """An AccessPolicy on the membership, in either form, hides records that would look deleted."""
    client = connected(Server(good({"resourceType": "ProjectMembership", **membership})))
    if allowed:
        await inventory.require_whole_sight(client)
        return
    with pytest.raises(errors.NotAllowedError, match="AccessPolicy") as caught:
        await inventory.require_whole_sight(client)
    assert caught.value.exit_code == 4


async def test_failures_are_those_after_the_version() -> None:
    """An audited failure counts for a version that was made before it, of the record it names."""
    event = {
        "resourceType": "AuditEvent",
        "meta": {"lastUpdated": "2026-01-02T04:00:00Z"},
        "entity": [{"what": {"reference": f"Condition/{one}"}} for one in (ONE, TWO)],
    }
    server = Server(page(event))
    later = dt.datetime(2026, 1, 2, 5, tzinfo=dt.UTC)
    given = [Version(ONE, "v1", MOMENT), Version(TWO, "v2", later)]
    assert await server_of(server).failures("Condition", given) == {ONE}
    asked = server.last.url.params
    assert asked["subtype"] == "urn:x/ai-audit-event|embedding_failure"
    assert asked["entity"] == f"Condition/{ONE},Condition/{TWO}"


async def test_the_servers_own_address() -> None:
    """By its discovery document; where there is none, as it is called here."""
    server = Server(good({"issuer": "https://clinic.example/"}))
    assert await server_of(server).base_url() == "https://clinic.example/"
    assert await server_of(Server(httpx.Response(404, text=""))).base_url() == BASE


@pytest.mark.parametrize(("status", "found"), [(404, 404), (410, 404), (403, 403)])
async def test_a_binary_that_cannot_be_had_is_told_by_its_status(status: int, found: int) -> None:
    """The text is then made without it, as the bot does."""
    answer = httpx.Response(status, json=outcome("no"))
    assert await server_of(Server(answer)).binary(ONE, 5) == found


async def test_a_great_binary_is_read_no_further_than_asked() -> None:
    """What comes after the limit is left where it is, however much it may be."""
    sent = []

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                sent.append(1_000)
                yield b"x" * 1_000

    server = Server(httpx.Response(200, stream=Endless()))
    assert await server_of(server).binary(ONE, 2_500) == b"x" * 2_500
    assert sum(sent) == 3_000
    small = httpx.Response(200, content=b"few")
    assert await server_of(Server(small)).binary(ONE, 2_500) == b"few"
