"""The committed sample: what is in it, and that it holds together."""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections import Counter
from pathlib import Path

import pytest

from medbots.demo import sample

FILE = Path(sample.__file__).parent / "sample" / "resources.ndjson"


@pytest.fixture
def resources() -> list[sample.Resource]:
    """Every resource of the sample."""
    return sample.resources()


def test_how_much_there_is(resources: list[sample.Resource]) -> None:
    """At least 300 resources of at least 30 patients, and many of each embedded type."""
    count = Counter(one["resourceType"] for one in resources)
    assert len(resources) >= 300
    assert count["Patient"] >= 30
    assert all(count[kind] >= 30 for kind in sample.EMBEDDED)
    assert FILE.stat().st_size < 1_000_000


def test_every_reference_resolves(resources: list[sample.Resource]) -> None:
    """No reference points to what is not in the sample."""
    known = {sample.reference(one) for one in resources}
    assert len(known) == len(resources)
    assert set(sample.references(resources)) <= known


def test_every_record_belongs_to_a_patient(resources: list[sample.Resource]) -> None:
    """Each embedded record names its patient."""
    patients = {sample.reference(one) for one in resources if one["resourceType"] == "Patient"}
    records = [one for one in resources if one["resourceType"] in sample.EMBEDDED]
    assert {one["subject"]["reference"] for one in records} == patients


def test_every_id_is_a_uuid_and_an_identifier(resources: list[sample.Resource]) -> None:
    """The id is a UUID, and the resource's own identifier says it too: servers choose ids."""
    for one in resources:
        assert str(uuid.UUID(one["id"])) == one["id"]
        assert one["identifier"] == [{"system": sample.SYSTEM, "value": one["id"]}]


def test_everything_is_marked_as_a_test(resources: list[sample.Resource]) -> None:
    """Each resource carries the label for test health data, and our tag, and no profile."""
    for one in resources:
        assert one["meta"] == {
            "security": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason",
                    "code": "HTEST",
                    "display": "test health data",
                }
            ],
            "tag": [{"system": sample.SYSTEM, "code": "sample"}],
        }


def test_notes(resources: list[sample.Resource]) -> None:
    """Notes hold plain text, some longer than one chunk."""
    notes = [one for one in resources if one["resourceType"] == "DocumentReference"]
    texts = []
    for note in notes:
        (content,) = note["content"]
        assert content["attachment"]["contentType"] == "text/plain"
        texts.append(base64.b64decode(content["attachment"]["data"], validate=True).decode())
    assert all(len(text) > 100 for text in texts)
    assert sum(len(text) > 1_200 for text in texts) >= 10


def test_medication_statements_follow_from_requests(resources: list[sample.Resource]) -> None:
    """What a patient takes is what was prescribed to this patient."""
    known = {sample.reference(one): one for one in resources}
    for one in resources:
        if one["resourceType"] == "MedicationStatement":
            request = known[one["basedOn"][0]["reference"]]
            assert request["medicationCodeableConcept"] == one["medicationCodeableConcept"]
            assert request["subject"] == one["subject"]


def test_nothing_licensed_away(resources: list[sample.Resource]) -> None:
    """CPT codes are not ours to ship."""
    text = json.dumps(resources)
    assert "ama-assn" not in text
    assert not re.search(r"\(code \d{5}\)", text)


def test_what_is_embedded() -> None:
    """Records that count are embedded; those entered in error, or of other types, are not."""
    record = {"resourceType": "Observation", "status": "final"}
    assert sample.is_embedded(record)
    assert sample.is_embedded({"resourceType": "Condition"})
    assert not sample.is_embedded({**record, "status": "cancelled"})
    assert not sample.is_embedded({**record, "status": "entered-in-error"})
    assert not sample.is_embedded({"resourceType": "Patient", "status": "final"})


def test_levels(resources: list[sample.Resource]) -> None:
    """Each group refers only to groups before it, and no resource is lost."""
    seen: set[str] = set()
    for level in sample.levels(resources):
        for one in level:
            assert set(sample.references(one)) <= seen
        seen |= {sample.reference(one) for one in level}
    assert len(seen) == len(resources)


def test_a_circle_has_no_levels() -> None:
    """Resources that refer to each other cannot be brought into an order."""
    one = {"resourceType": "Patient", "id": "a", "link": [{"other": {"reference": "Patient/b"}}]}
    other = {"resourceType": "Patient", "id": "b", "link": [{"other": {"reference": "Patient/a"}}]}
    with pytest.raises(ValueError, match="circle"):
        sample.levels([one, other])


def test_a_copy_is_a_copy() -> None:
    """Who changes what was given does not change what is given next."""
    sample.resources()[0]["id"] = "changed"
    assert sample.resources()[0]["id"] != "changed"
