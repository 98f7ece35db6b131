"""Makes the sample patients that `medbots demo` loads, from two generators of synthetic records.

    python3.11 -m venv /tmp/generators
    /tmp/generators/bin/pip install clinosim==0.6.5 carebundle==0.5.0
    python scripts/make_sample.py /tmp/generators/bin

Everything is pinned: versions, seeds, dates. Ids are UUIDs derived from the generators' own, so the
same run gives the same file. It takes about a minute.
"""

from __future__ import annotations

import base64
import html
import json
import re
import subprocess
import sys
import tempfile
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Resource = dict[str, Any]

TARGET = Path(__file__).parent.parent / "src/medbots/demo/sample/resources.ndjson"
SYSTEM = "urn:medbots:sample"
SPACE = uuid.uuid5(uuid.NAMESPACE_URL, SYSTEM)

CLINOSIM = {
    "--population": "1500",
    "--seed": "7",
    "--country": "US",
    "--start": "2025-06-01",
    "--end": "2025-09-30",
}
CAREBUNDLE = {
    "--profile": "mixed",
    "--count": "40",
    "--seed": "11",
    "--sex": "mixed",
    "--age-range": "30-80",
    "--reference-date": "2025-09-30",
    "--panels": "lean",
}
INPATIENTS = 15
OUTPATIENTS = 16

TYPES = (
    "Organization",
    "Practitioner",
    "Patient",
    "Encounter",
    "Condition",
    "Observation",
    "MedicationRequest",
    "MedicationStatement",
    "DiagnosticReport",
    "DocumentReference",
)
"""What is kept, in an order in which every reference points backwards."""

NOTES = {"34117-2": 1, "18842-5": 1, "Provider-unspecified Progress note": 1, "Nurse Note": 1}
"""Kinds of note, by LOINC code or text, and how many of each a patient keeps."""

DROPPED = {
    "*": ("text", "meta", "language"),
    "Patient": ("extension", "contact", "communication", "multipleBirthBoolean", "photo"),
    "Practitioner": ("telecom",),
    "Encounter": (
        "partOf",
        "serviceProvider",
        "location",
        "diagnosis",
        "reasonReference",
        "statusHistory",
        "hospitalization",
    ),
    "Observation": ("basedOn", "specimen", "hasMember", "derivedFrom", "performer"),
    "DiagnosticReport": (
        *("basedOn", "specimen", "imagingStudy", "media"),
        *("performer", "resultsInterpreter"),
    ),
    "DocumentReference": ("relatesTo", "custodian"),
    "MedicationRequest": ("basedOn", "insurance", "reasonReference", "recorder"),
    "Condition": ("stage", "recorder", "asserter"),
}
"""Fields that point to what is not kept, or that nobody needs to try medbots."""


def main(programs: Path) -> None:
    """Generate, select, clean and write."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        inpatients = _generate(programs / "clinosim", "simulate", work / "in", CLINOSIM, "fhir-r4")
        outpatients = _generate(
            programs / "carebundle", "generate", work / "out", CAREBUNDLE, "ndjson"
        )
    chosen = [*select_inpatients(inpatients), *select_outpatients(outpatients)]
    everything = {**_by_reference(inpatients), **_by_reference(outpatients)}
    kept = {_reference(one): one for one in _closure(chosen, everything)}
    cleaned = [_clean(one, kept) for one in kept.values()]
    cleaned += [_statement(one) for one in cleaned if one["resourceType"] == "MedicationRequest"]
    cleaned.sort(key=lambda one: (TYPES.index(one["resourceType"]), one["id"]))
    lines = [json.dumps(one, ensure_ascii=False, sort_keys=True) for one in cleaned]
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write(f"{len(lines)} resources, {TARGET.stat().st_size:,} bytes: {TARGET}\n")


def select_inpatients(resources: list[Resource]) -> Iterator[Resource]:
    """Choose admitted patients: notes, diagnoses, abnormal results, imaging, medication."""
    notes = [_note(one) for one in resources if one["resourceType"] == "Composition"]
    mine = _by_patient([*resources, *(note for note in notes if note)])
    admitted = [
        patient
        for patient, own in sorted(mine.items())
        if {"34117-2", "18842-5"} <= {_code(one) for one in own["DocumentReference"]}
    ]
    for patient in admitted[:INPATIENTS]:
        own = mine[patient]
        yield from _notes(own["DocumentReference"])
        yield from own["Condition"][:2]
        reports = sorted(own["DiagnosticReport"], key=lambda one: "imagingStudy" not in one)
        yield from reports[:1]
        abnormal = [
            one
            for one in own["Observation"]
            if _interpretation(one) not in ("", "N") and "valueQuantity" in one
        ]
        yield from _different(abnormal)[:3]
        yield from own["MedicationRequest"][:1]


def select_outpatients(resources: list[Resource]) -> Iterator[Resource]:
    """Choose patients with something to treat: diagnoses, HbA1c, lipids, blood pressure."""
    mine = _by_patient(resources)
    treated = [patient for patient, own in sorted(mine.items()) if own["MedicationRequest"]]
    for patient in treated[:OUTPATIENTS]:
        own = mine[patient]
        yield from own["Condition"][:2]
        yield from own["DiagnosticReport"][:1]
        yield from _different(own["Observation"])[:2]
        yield from own["MedicationRequest"][:1]


def _generate(
    program: Path, verb: str, folder: Path, options: dict[str, str], kind: str
) -> list[Resource]:
    given = [part for pair in options.items() for part in pair]
    out = "--output" if verb == "simulate" else "--out"
    argv = [str(program), verb, *given, out, str(folder), "--format", kind]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    lines = [
        line
        for file in sorted(folder.rglob("*.ndjson"))
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    return [json.loads(line) for line in lines]


def _note(composition: Resource) -> Resource | None:
    """Return a structured note as the plain-text DocumentReference that a hospital would have."""
    if _code(composition) not in NOTES:
        return None
    parts = [
        f"{section['title']}\n{_plain(section['text']['div'])}"
        for section in composition["section"]
        if _plain(section.get("text", {}).get("div", ""))
    ]
    title = composition["title"]
    text = "\n\n".join([title, *parts]).encode()
    return {
        "resourceType": "DocumentReference",
        "id": f"note-of-{composition['id']}",
        "status": "current",
        "docStatus": "final",
        "type": composition["type"],
        "subject": composition["subject"],
        "date": composition["date"],
        "author": composition["author"],
        "description": title,
        "context": {"encounter": [composition["encounter"]]},
        "content": [
            {
                "attachment": {
                    "contentType": "text/plain",
                    "data": base64.b64encode(text).decode(),
                    "title": title,
                }
            }
        ],
    }


def _statement(request: Resource) -> Resource:
    """Derive what the patient takes from what was prescribed."""
    taken = {
        "resourceType": "MedicationStatement",
        "status": {"active": "active", "completed": "completed"}.get(request["status"], "unknown"),
        "medicationCodeableConcept": request["medicationCodeableConcept"],
        "subject": request["subject"],
        "effectiveDateTime": request["authoredOn"],
        "basedOn": [{"reference": _reference(request)}],
    }
    if "encounter" in request:
        taken["context"] = request["encounter"]
    if "dosageInstruction" in request:
        taken["dosage"] = request["dosageInstruction"]
    return _named(taken, f"statement of {request['id']}")


def _closure(chosen: Iterable[Resource], everything: dict[str, Resource]) -> Iterator[Resource]:
    """Yield the chosen resources and what they refer to, as far as its type is kept."""
    seen: set[str] = set()
    queue = list(chosen)
    while queue:
        one = queue.pop(0)
        if _reference(one) in seen:
            continue
        seen.add(_reference(one))
        yield one
        known = (everything.get(target) for target in _targets(_bare(one)))
        queue += [target for target in known if target and target["resourceType"] in TYPES]


def _bare(one: Resource) -> Resource:
    kind = one["resourceType"]
    dropped = {*DROPPED["*"], *DROPPED.get(kind, ())}
    bare = {name: value for name, value in one.items() if name not in dropped}
    if kind == "DiagnosticReport" and "result" in bare:
        bare["result"] = bare["result"][:2]
    return bare


def _clean(one: Resource, kept: dict[str, Resource]) -> Resource:
    """Return a resource with ids of ours, and without references to what was left behind."""
    return _named(_relinked(_bare(one), kept), f"{one['id']}")


def _named(one: Resource, origin: str) -> Resource:
    found = str(uuid.uuid5(SPACE, f"{one['resourceType']}/{origin}"))
    tested = {
        "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason",
        "code": "HTEST",
        "display": "test health data",
    }
    return {
        **one,
        "id": found,
        "meta": {"security": [tested], "tag": [{"system": SYSTEM, "code": "sample"}]},
        "identifier": [{"system": SYSTEM, "value": found}],
    }


def _relinked(value: Any, kept: dict[str, Resource]) -> Any:
    if isinstance(value, list):
        parts = [_relinked(part, kept) for part in value]
        return [part for part in parts if part not in ({}, [], None)]
    if not isinstance(value, dict):
        return value
    target = value.get("reference")
    if isinstance(target, str):
        if target in kept:
            kind, _, origin = target.partition("/")
            return {"reference": f"{kind}/{uuid.uuid5(SPACE, f'{kind}/{origin}')}"}
        return {"display": value["display"]} if "display" in value else {}
    parts = {name: _relinked(part, kept) for name, part in value.items()}
    return {name: part for name, part in parts.items() if part not in ({}, [], None)}


def _targets(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for part in value:
            yield from _targets(part)
    elif isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for part in value.values():
            yield from _targets(part)


def _by_reference(resources: list[Resource]) -> dict[str, Resource]:
    return {_reference(one): one for one in resources}


def _by_patient(resources: list[Resource]) -> dict[str, dict[str, list[Resource]]]:
    found: dict[str, dict[str, list[Resource]]] = defaultdict(lambda: defaultdict(list))
    for one in sorted(resources, key=_reference):
        patient = one.get("subject", {}).get("reference", "")
        if patient.startswith("Patient/"):
            found[patient][one["resourceType"]].append(one)
    return found


def _notes(documents: list[Resource]) -> Iterator[Resource]:
    left = dict(NOTES)
    for one in documents:
        kind = _code(one) if _code(one) in left else one["type"].get("text", "")
        if left.get(kind, 0) > 0:
            left[kind] -= 1
            yield one


def _different(resources: list[Resource]) -> list[Resource]:
    """Keep the first resource of each code."""
    return list({_code(one): one for one in reversed(resources)}.values())[::-1]


def _code(one: Resource) -> str:
    concept = one.get("code") or one.get("type") or {}
    return str((concept.get("coding") or [{}])[0].get("code", ""))


def _interpretation(one: Resource) -> str:
    concept = (one.get("interpretation") or [{}])[0]
    return str((concept.get("coding") or [{}])[0].get("code", ""))


def _plain(div: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", div)).strip()


def _reference(one: Resource) -> str:
    return f"{one['resourceType']}/{one['id']}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
