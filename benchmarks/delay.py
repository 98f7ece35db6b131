"""From the answer to a resource's creation to the row with its vector."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx
import psycopg

from benchmarks import command
from benchmarks.figures import Figure

RESOURCES = 50
_POLL_SECONDS = 0.001
_LIMIT_SECONDS = 20.0
_ROW = "SELECT 1 FROM clinical_embeddings WHERE fhir_resource_id = %s"


def measure(environ: Mapping[str, str]) -> Iterator[Figure]:
    """Yield the figure of fifty Observations, one after the other."""
    for verb in (("db", "init"), ("deploy",), ("subscriptions", "sync")):
        command.run(environ, *verb)
    with (
        login(environ) as http,
        psycopg.connect(environ["MEDBOTS_DATABASE_URL"], autocommit=True) as database,
    ):
        patient = create(http, {"resourceType": "Patient"})
        _delay(http, database, patient, 0)  # the first run of a bot reads its code
        times = tuple(_delay(http, database, patient, n) for n in range(1, RESOURCES + 1))
    yield Figure("resource created to row, one at a time", times)


def _delay(
    http: httpx.Client, database: psycopg.Connection[tuple[int]], patient: str, number: int
) -> float:
    created = create(
        http,
        {
            "resourceType": "Observation",
            "status": "final",
            "code": {"text": f"Benchmark measurement {number}"},
            "subject": {"reference": f"Patient/{patient}"},
            "valueQuantity": {"value": number, "unit": "mg/dL"},
        },
    )
    began = time.perf_counter()
    while database.execute(_ROW, [created]).fetchone() is None:
        if time.perf_counter() - began > _LIMIT_SECONDS:
            raise RuntimeError(f"Observation/{created} has no row after {_LIMIT_SECONDS:g} s")
        time.sleep(_POLL_SECONDS)
    return (time.perf_counter() - began) * 1000


def create(http: httpx.Client, resource: dict[str, object]) -> str:
    """Create a resource and return its id."""
    answer = http.post(f"fhir/R4/{resource['resourceType']}", json=resource)
    answer.raise_for_status()
    return str(answer.json()["id"])


@contextmanager
def login(environ: Mapping[str, str]) -> Iterator[httpx.Client]:
    """Give a client that is logged in; its login is not what is measured."""
    verifier = base64.urlsafe_b64encode(b"a verifier for benchmarks, no secret").decode()
    asked = {
        "email": environ["MEDPLUM_EMAIL"],
        "password": environ["MEDPLUM_PASSWORD"],
        "scope": "openid",
        "codeChallenge": verifier,
        "codeChallengeMethod": "plain",
    }
    with httpx.Client(base_url=environ["MEDPLUM_BASE_URL"]) as http:
        code = http.post("auth/login", json=asked).raise_for_status().json()["code"]
        form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
        token = http.post("oauth2/token", data=form).raise_for_status().json()["access_token"]
        http.headers["Authorization"] = f"Bearer {token}"
        yield http
