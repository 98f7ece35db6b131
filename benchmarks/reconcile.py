"""`embeddings reconcile --direct` against subscriptions that embed one record after the other."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import psycopg

from benchmarks import command, delay
from benchmarks.figures import Figure
from medbots.local import stackfile
from medbots.local.supervisor import Supervisor

RECORDS = 3_000
SUBSCRIBED = 150
ROUNDS = 3
"""Both ways in turn, so that a busy moment of the machine meets both."""
GOAL = 10.0
"""Times as many records a second."""
_BATCH = 100
_LIMIT_SECONDS = 180.0
_COUNT = "SELECT count(DISTINCT fhir_resource_id) FROM clinical_embeddings"
_WORDS = (
    *("Asthma", "Hypertension", "Migraine", "Eczema", "Gout", "Anaemia", "Psoriasis", "Sinusitis"),
)


def measure(environ: Mapping[str, str]) -> Iterator[Figure]:
    """Yield the milliseconds a record of both ways, with the same router and the same records."""
    for verb in (("deploy",), ("db", "init"), ("deploy",)):
        command.run(environ, *verb)
    _lift_quota(environ)
    with (
        delay.login(environ) as http,
        psycopg.connect(environ["MEDBOTS_DATABASE_URL"], autocommit=True) as database,
    ):
        patient = delay.create(http, {"resourceType": "Patient"})
        _create(http, patient, RECORDS)
        direct, one_by_one = [_direct(environ, database)], []
        command.run(environ, "subscriptions", "sync")
        delay.create(http, _condition(patient, 0))  # the first run of a bot reads its code
        for _ in range(ROUNDS):
            one_by_one.append(_subscribed(http, database, patient))
            direct.append(_direct(environ, database))
    ratio = statistics.median(one_by_one) / statistics.median(direct)
    yield Figure(f"record embedded by its subscription, {SUBSCRIBED} at once", tuple(one_by_one))
    yield Figure(
        f"record embedded by reconcile --direct, of {RECORDS}",
        tuple(direct),
        goal=f"≥ {GOAL:g} times as many a second: {ratio:.1f}",
        met=ratio >= GOAL,
    )


def _direct(environ: Mapping[str, str], database: psycopg.Connection[tuple[int]]) -> float:
    """Embed all records anew; return the milliseconds a record, the command's start included."""
    database.execute("TRUNCATE clinical_embeddings")
    report = command.run(environ, "embeddings", "reconcile", "--direct")
    if report["embedded"] < RECORDS or report["failed"]:
        raise RuntimeError(f"reconcile: {report}")
    return float(report["durationMs"]) / float(report["embedded"])


def _subscribed(
    http: httpx.Client, database: psycopg.Connection[tuple[int]], patient: str
) -> float:
    """Return the milliseconds a record from the first creation to the last row."""
    row = database.execute(_COUNT).fetchone()
    before = row[0] if row else 0
    began = time.perf_counter()
    _create(http, patient, SUBSCRIBED)
    _wait(database, before + SUBSCRIBED)
    return (time.perf_counter() - began) * 1000 / SUBSCRIBED


def _wait(database: psycopg.Connection[tuple[int]], wanted: int) -> None:
    began = time.perf_counter()
    while True:
        row = database.execute(_COUNT).fetchone()
        if row is not None and row[0] >= wanted:
            return
        if time.perf_counter() - began > _LIMIT_SECONDS:
            raise RuntimeError(f"{row} of {wanted} records after {_LIMIT_SECONDS:g} s")
        time.sleep(0.02)


def _create(http: httpx.Client, patient: str, number: int) -> None:
    for start in range(0, number, _BATCH):
        entries = [
            {
                "request": {"method": "POST", "url": "Condition"},
                "resource": _condition(patient, one),
            }
            for one in range(start, min(start + _BATCH, number))
        ]
        bundle = {"resourceType": "Bundle", "type": "batch", "entry": entries}
        answer = http.post("fhir/R4", json=bundle).raise_for_status().json()
        statuses = {one["response"]["status"] for one in answer["entry"]}
        if statuses != {"201"}:
            raise RuntimeError(f"a batch answered {statuses}")


def _condition(patient: str, number: int) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "subject": {"reference": f"Patient/{patient}"},
        "code": {"text": f"{_WORDS[number % len(_WORDS)]}, episode {number}"},
        "note": [{"text": f"Seen in week {number % 52}, better with rest and fluids."}],
    }


def _lift_quota(environ: Mapping[str, str]) -> None:
    """Let the project create as many records in a minute as it likes."""
    folder = Path(environ["MEDBOTS_STATE_DIR"]) / "local"
    known = stackfile.load(Supervisor(folder, preferred={}).layout.stackfile)
    if known is None:
        raise RuntimeError(f"there is no stack in {folder}")
    super_admin = {
        "MEDPLUM_EMAIL": known.credentials.super_admin_email,
        "MEDPLUM_PASSWORD": known.credentials.super_admin_password,
    }
    with delay.login(environ) as http:
        project = http.get("auth/me").raise_for_status().json()["project"]["id"]
    setting = {"name": "enableFhirQuota", "valueBoolean": False}
    patch = [{"op": "add", "path": "/systemSetting", "value": [setting]}]
    with delay.login({**environ, **super_admin}) as http:
        headers = {"Content-Type": "application/json-patch+json"}
        path = f"fhir/R4/Project/{project}"
        http.patch(path, json=patch, headers=headers).raise_for_status()
