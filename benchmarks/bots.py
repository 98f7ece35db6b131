"""What a bot costs: loading its bundle, and its own part of a call."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import psycopg

from benchmarks import command, delay
from benchmarks.clinic import Clinic
from benchmarks.figures import Figure
from medbots import assets, bundler, manifest, nodejs

LOADS = 21
CALLS = 25
LOAD_GOAL_MS = 100.0
OWN_GOAL_MS = 60.0
_SIZE_LIMITS = {"billing-code-suggester": 1_200_000}
_SIZE_LIMIT = 400_000
_BUSY = "SELECT active_time FROM pg_stat_database WHERE datname = current_database()"


def measure(environ: Mapping[str, str]) -> Iterator[Figure]:
    """Yield, for each bot, the figures of loading its bundle and of its own part of a call."""
    bundles = bundler.bundle_all(manifest.load(assets.bot_templates() / "medbots.yaml").bots)
    for key, bundle in bundles.items():
        yield _load(key, bundle.code)
    for verb in (("deploy",), ("db", "init"), ("deploy",)):
        command.run(environ, *verb)
    with (
        delay.login(environ) as http,
        httpx.Client(base_url=environ["LLM_ROUTER_URL"]) as router,
        psycopg.connect(environ["MEDBOTS_DATABASE_URL"], autocommit=True) as database,
    ):
        router.headers["Authorization"] = f"Bearer {environ['LLM_API_KEY']}"
        clinic = Clinic(http)
        for key in bundles:
            yield _own(clinic, router, database, key)


def _load(key: str, code: bytes) -> Figure:
    size = len(code)
    node = nodejs.program()
    if node is None:
        raise RuntimeError("the packaged Node is not installed")
    # Beside node_modules, where the server's own modules are found too.
    with tempfile.NamedTemporaryFile(suffix=".cjs", dir=assets.bot_templates()) as file:
        file.write(code)
        file.flush()
        script = Path(__file__).with_name("load.mjs")
        done = subprocess.run(
            [node, script, file.name, str(LOADS)], check=True, capture_output=True, text=True
        )
    times = tuple(json.loads(done.stdout))
    limit = _SIZE_LIMITS.get(key, _SIZE_LIMIT)
    met = statistics.median(times) <= LOAD_GOAL_MS and size < limit
    goal = f"≤ {LOAD_GOAL_MS:g} ms, {limit // 1000} kB"
    return Figure(f"load {key}, {size / 1000:.0f} kB", times, goal=goal, met=met)


def _own(
    clinic: Clinic, router: httpx.Client, database: psycopg.Connection[Any], key: str
) -> Figure:
    """Measure calls one by one: the whole, less what router and database report for themselves."""
    times = []
    for number in range(CALLS + 1):
        body = clinic.input(key, number)
        router.delete("/control/requests").raise_for_status()
        busy = _busy(database)
        began = time.perf_counter()
        clinic.execute(key, body)
        whole = (time.perf_counter() - began) * 1000
        calls = router.get("/control/requests").raise_for_status().json()["requests"]
        times.append(whole - sum(one["ms"] for one in calls) - (_busy(database) - busy))
    own = tuple(times[1:])  # the first call reads the bot's code
    return Figure(
        f"own part of a call: {key}",
        own,
        goal=f"≤ {OWN_GOAL_MS:g} ms",
        met=statistics.median(own) <= OWN_GOAL_MS,
    )


def _busy(database: psycopg.Connection[Any]) -> float:
    """Return the milliseconds that sessions which have ended spent in statements."""
    row = database.execute(_BUSY).fetchone()
    assert row is not None  # noqa: S101 (the database one is connected to has a row)
    return float(row[0])
