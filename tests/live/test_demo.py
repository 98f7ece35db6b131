"""`medbots demo`, to the letter, as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import medbots
from medbots.demo import sample, visit
from medbots.local.supervisor import Supervisor

STEPS = [
    *("stack", "login", "plan", "deploy", "subscriptions", "database", "deploy-again"),
    *("verify", "load", "embed", "search", "visit"),
]
ELSEWHERE = {
    "MEDPLUM_BASE_URL": "https://hospital.invalid/",
    "MEDPLUM_ACCESS_TOKEN": "plant",
    "MEDBOTS_DATABASE_URL": "postgresql://ada:plant@hospital.invalid/records",
    "LLM_ROUTER_URL": "https://router.invalid/",
    "LLM_PHI_ALLOWED_HOSTS": "router.invalid",
    "EMBED_TIMEOUT_MS": "no number",
    "PGSSLMODE": "require",
    "PGOPTIONS": "-c statement_timeout=1",
    "MEDBOTS_PROFILE": "hospital",
}
"""Settings of a hospital, which the demo must not even read."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A state folder that every account may pass through."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o711)
        yield Path(made)
        stack = Supervisor(Path(made) / "demo" / "local")
        if stack.layout.root.exists():
            stack.reset(lambda event: None)


def _demo(folder: Path, *args: str) -> tuple[int, str, str]:
    environ = {**os.environ, **ELSEWHERE, "MEDBOTS_STATE_DIR": str(folder)}
    environ["PYTHONPATH"] = str(Path(medbots.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "medbots", "demo", *args],
        check=False,
        capture_output=True,
        text=True,
        env=environ,
        cwd=folder,
        timeout=240,
    )
    return done.returncode, done.stdout, done.stderr


def _details(document: dict[str, Any]) -> dict[str, str]:
    return {step["step"]: step["detail"] for step in document["steps"]}


def test_the_demo_twice(folder: Path) -> None:
    """The first run does everything, the second finds it done; both stop what they started."""
    code, out, err = _demo(folder, "--format", "json")
    assert code == 0, err
    first = json.loads(out)
    assert [step["step"] for step in first["steps"]] == STEPS
    records = sum(map(sample.is_embedded, sample.resources()))
    details = _details(first)
    assert details["load"].startswith(f"{len(sample.resources())} resources of 32 patients")
    assert details["embed"] == f"{records} of {records} records have vectors"
    assert details["deploy-again"].startswith("unchanged")
    assert [bool(one["results"]) for one in first["searches"]] == [True, True, True]
    assert "plant" not in out + err
    acts = {one["act"]: one["answer"] for one in first["visit"]}
    assert list(acts) == ["ask", "decide", "draft", "finish", "approve", "audit"]
    assert "7.1" in acts["ask"]["answer"]
    assert acts["ask"]["modelUsed"].startswith("offline-stand-in")
    assert [one["severity"] for one in acts["decide"]["interactions"]] == ["high"]
    assert visit.CLINICIAN["plan"] in acts["draft"]["sections"]["plan"]
    assert acts["approve"]["executedResourceType"] == "Claim"
    trail = [one["type"] for one in acts["audit"]["events"]]
    assert trail == ["command_received", "command_queued", "approval_granted", "command_executed"]
    stack = Supervisor(folder / "demo" / "local")
    assert [one.pid for one in stack.status()] == [None, None, None]

    code, out, err = _demo(folder, "--keep")
    assert code == 0, err
    assert "“type 2 diabetes with high hemoglobin A1c”" in out
    assert "high: aspirin and warfarin" in out
    assert "approved before" in out
    assert f"export MEDBOTS_STATE_DIR={folder}/demo" in out
    assert f"{records} of {records} records have vectors" in err
    assert [one.healthy for one in stack.status()] == [True, True, True]


def test_a_demo_that_fails_says_where(folder: Path) -> None:
    """A step that fails is named, with what the services said last; nothing is left running."""
    manifest = folder / "medbots.yaml"
    manifest.write_text("version: 1\nnamespace: urn:medbots\nbots: {}\nsubscriptions: {}\n")
    code, _, err = _demo(folder, "--manifest", str(manifest))
    assert code == 65
    assert "the manifest has no bot embedding, semantic-search" in err
    assert "medplum   " in err
    stack = Supervisor(folder / "demo" / "local")
    assert [one.pid for one in stack.status()] == [None, None, None]
