"""Our judgement of criteria against the server's own matcher, which is that of @medplum/core."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from medbots.bundler import tools
from medbots.manifest import criteria, fhirpath

ROOT = Path(__file__).resolve().parents[3]
CORE = ROOT / "bot_templates" / "node_modules" / "@medplum" / "core"
DEFINITIONS = ROOT / "local_server" / "node_modules" / "@medplum" / "definitions"

TASK = {
    "resourceType": "Task",
    "id": "9",
    "status": "requested",
    "intent": "order",
    "identifier": [{"value": "urn:uuid:1"}, {"system": "urn:x", "value": "7"}],
    "code": {"coding": [{"system": "http://example.org/codes", "code": "review"}]},
    "for": {"reference": "Patient/123"},
    "owner": {"reference": "Practitioner/4"},
    "authoredOn": "2024-05-06T07:08:09Z",
    "priority": "urgent",
}
PATIENT = {
    "resourceType": "Patient",
    "id": "123",
    "name": [{"family": "Smithson", "given": ["Ada"]}],
    "managingOrganization": {"reference": "Organization/1"},
}
OBSERVATION = {
    "resourceType": "Observation",
    "id": "1",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}]},
    "valueQuantity": {"value": 8.2, "unit": "%"},
    "effectiveDateTime": "2024-05-06",
}

FIRES = [
    (TASK, "Task"),
    (TASK, "Task?code=review"),
    (TASK, "Task?code=http://example.org/codes|review&status=requested,ready"),
    (TASK, "Task?code=http://example.org/codes|"),
    (TASK, "Task?identifier=urn:uuid:1"),
    (TASK, "Task?status:not=completed"),
    (TASK, "Task?status=Requested"),
    (TASK, "Task?status=|requested"),
    (TASK, "Task?owner:missing=false"),
    (TASK, "Task?focus:missing=true"),
    (TASK, "Task?patient=Patient/123"),
    (TASK, "Task?authored-on=ge2024-01-01"),
    (TASK, "Task?authored-on=2024-05-06"),
    (PATIENT, "Patient?name=smith"),
    (PATIENT, "Patient?name:contains=mithso"),
    (OBSERVATION, "Observation?value-quantity:missing=false"),
    (OBSERVATION, "Observation?date=2024"),
]
"""What we accept, with a resource that a reader expects to match."""

SILENT = [
    (TASK, "Task?status=requestd"),
    (TASK, "Task?status=http://hl7.org/fhir/task-status|requested"),
    (TASK, "Foo"),
    (TASK, "Task?sttaus=requested"),
    (TASK, "Task?code=http://example.org/codes"),
    (TASK, "Task?patient.name=Smithson"),
    (TASK, "Task?priority-order=1"),
    (TASK, "Task?authored-on=2024-05-06,2025-01-01"),
    (TASK, "Task?authored-on=today"),
    (TASK, "Task?code=|"),
    (TASK, "Task?owner:missing=no"),
    (PATIENT, "Patient?_has:Observation:patient:status=final"),
    (PATIENT, "Patient?organization.name=x"),
    (OBSERVATION, "Observation?value-quantity=gt5"),
    (OBSERVATION, "Observation?code-value-quantity=http://loinc.org|4548-4$gt5"),
]
"""What never fires, though a reader expects it to."""

BEYOND = [
    (TASK, "Task?patient=123"),
    (TASK, "Task?patient:Patient=123"),
    (TASK, "Task?authored-on:not=2024"),
    (PATIENT, "Patient?name:exact=Smith"),
    (TASK, "Task?_sort=-_lastUpdated"),
    (TASK, "Task?code=http://example.org/codes|review|draft"),
]
"""What fires on more than it says, is without effect, or is matched by the newer releases only."""

HOLDS = [
    "%current.status = 'requested'",
    "%previous.exists().not() or %previous.status != %current.status",
    "%current.code.coding.where(system = 'http://example.org/codes').exists()",
    "status = 'requested'",
    "($this.priority.lower() in ('urgent' | 'stat')) and -1 < 2",
    "%current.authoredOn > @2024-01-01T00:00:00Z",
    "{}.empty() // a comment",
]
FAILS = [
    "%current.status = ",
    "(%current.status = 'requested'",
    "%curent.status = 'requested'",
    "%current.status.exist()",
    "%current.sttaus = 'requested'",
    "$index = 0",
    "%current.status == 'requested'",
    "%current.status; true",
]


def server_says(cases: list[dict[str, Any]]) -> list[Any]:
    """Ask the matcher of @medplum/core."""
    node = tools.node(os.environ)
    if node is None or not CORE.is_dir() or not DEFINITIONS.is_dir():
        pytest.skip("node_modules are not there (cure: make build)")
    script = Path(__file__).with_name("match.mjs")
    done = subprocess.run(
        [str(node), str(script), str(CORE), str(DEFINITIONS)],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=True,
    )
    answers = json.loads(done.stdout)
    assert isinstance(answers, list)
    return answers


def test_criteria_that_we_accept_fire_on_the_server() -> None:
    """Each form of criteria that passes here matches there."""
    assert [text for _, text in FIRES if list(criteria.problems(text))] == []
    answers = server_says([{"resource": one, "criteria": text} for one, text in FIRES])
    assert dict(zip([text for _, text in FIRES], answers, strict=True)) == {
        text: True for _, text in FIRES
    }


def test_criteria_that_never_fire_are_refused_here() -> None:
    """Each form that the server takes and never matches is a problem here."""
    answers = server_says([{"resource": one, "criteria": text} for one, text in SILENT])
    loud = [text for (_, text), one in zip(SILENT, answers, strict=True) if one is True]
    accepted = [text for _, text in SILENT if not list(criteria.problems(text))]
    assert (loud, accepted) == ([], [])


def test_criteria_that_fire_on_more_than_they_say_are_refused_here() -> None:
    """What the server evaluates otherwise than it reads is a problem here."""
    answers = server_says([{"resource": one, "criteria": text} for one, text in BEYOND])
    accepted = [text for _, text in BEYOND if not list(criteria.problems(text))]
    assert (answers, accepted) == ([True] * len(BEYOND), [])


def test_fhirpath_is_judged_as_the_server_does() -> None:
    """What holds there passes here; what fails or never holds there is a problem here."""
    asked = [{"resource": TASK, "criteria": "Task", "fhirpath": text} for text in HOLDS + FAILS]
    held = [one is True for one in server_says(asked)]
    ours = [not list(fhirpath.problems(text, "Task")) for text in HOLDS + FAILS]
    expected = [True] * len(HOLDS) + [False] * len(FAILS)
    names = HOLDS + FAILS
    assert dict(zip(names, held, strict=True)) == dict(zip(names, expected, strict=True))
    assert dict(zip(names, ours, strict=True)) == dict(zip(names, expected, strict=True))
