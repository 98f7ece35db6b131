"""Facts of the rate limits."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.live import medplum
from tests.live.scratch import Scratch
from tests.live.target import Target

AUTH_LIMIT = 160
FHIR_LIMIT = 50_000
CREATE, UPDATE, SEARCH, READ, DEPLOY = 100, 100, 20, 1, 201
LIMIT = re.compile(r'"(\w+)";r=(\d+);t=(\d+)')


@pytest.fixture
def stranger(target: Target) -> Iterator[httpx.Client]:
    """Somebody from an address of their own, who does not wait when told to."""
    headers = {"X-Forwarded-For": medplum.own_address()}
    with httpx.Client(base_url=target.base_url, headers=headers, timeout=30) as client:
        yield client


def limits(answer: httpx.Response) -> dict[str, tuple[int, int]]:
    """Return what the header RateLimit says: name to (remaining, seconds to reset)."""
    found = LIMIT.findall(answer.headers["RateLimit"])
    return {name: (int(remaining), int(reset)) for name, remaining, reset in found}


def test_logins_are_limited_by_address(stranger: httpx.Client) -> None:
    """160 auth requests a minute for each address, then 429 with RateLimit and no Retry-After."""
    empty = {"grant_type": "none"}
    remaining, reset = limits(stranger.post("oauth2/token", data=empty))["requests"]
    if remaining != AUTH_LIMIT - 1:
        pytest.skip("a proxy replaces X-Forwarded-For: the limit of this machine would be used up")
    assert 0 < reset <= 60
    for _ in range(remaining):
        answer = stranger.post("oauth2/token", data=empty)
        assert answer.status_code == httpx.codes.BAD_REQUEST
    assert limits(answer)["requests"][0] == 0
    refused = stranger.post("oauth2/token", data=empty)
    assert refused.status_code == httpx.codes.TOO_MANY_REQUESTS
    assert refused.json()["issue"][0]["code"] == "throttled"
    assert "Retry-After" not in refused.headers
    assert limits(refused)["requests"][0] == 0
    # /auth/me is no auth request, and another address has a limit of its own.
    assert stranger.get("auth/me").status_code == httpx.codes.UNAUTHORIZED
    other = {"X-Forwarded-For": medplum.own_address()}
    again = stranger.post("oauth2/token", data=empty, headers=other)
    assert again.status_code == httpx.codes.BAD_REQUEST


def test_the_last_proxy_counts(stranger: httpx.Client) -> None:
    """One proxy is trusted: of several addresses, the last one is the client's."""
    first, second, third = (medplum.own_address() for _ in range(3))
    counts = [
        limits(
            stranger.post(
                "oauth2/token",
                data={"grant_type": "none"},
                headers={"X-Forwarded-For": f"{claimed}, {seen}"},
            )
        )["requests"][0]
        for claimed, seen in ((first, second), (third, second), (second, first))
    ]
    assert counts == [AUTH_LIMIT - 1, AUTH_LIMIT - 2, AUTH_LIMIT - 1]


def test_fhir_requests_cost_units(bots: Scratch) -> None:
    """50,000 units a minute for each membership; each kind of request has its price."""
    session = bots.member().session
    patient = {"resourceType": "Patient"}
    first = session.post("fhir/R4/Patient", json=patient)
    path = f"fhir/R4/Patient/{bots.keep('Patient/' + first.json()['id']).split('/')[1]}"
    bot_id = bots.bot()["id"]
    code = {"code": "exports.handler = async () => 1;\n"}
    answers = [
        first,
        session.get(path),
        session.get("fhir/R4/Patient?_count=1"),
        session.put(path, json={**first.json(), "active": True}),
        session.post(f"fhir/R4/Bot/{bot_id}/$deploy", json=code),
    ]
    remaining = [limits(each)["fhirInteractions"][0] for each in answers]
    spent = [
        before - after for before, after in zip([FHIR_LIMIT, *remaining], remaining, strict=False)
    ]
    assert spent == [CREATE, READ, SEARCH, UPDATE, DEPLOY]
    assert 0 < limits(first)["fhirInteractions"][1] <= 60
