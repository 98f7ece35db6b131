"""Facts of batches and transactions."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.live import medplum, projects, scratch
from tests.live.medplum import EXTENDED, Json, Session, entry
from tests.live.projects import Clinic
from tests.live.scratch import Scratch

CODES = httpx.codes
UNKNOWN_ID = str(uuid.UUID(int=0))
STALE = f'W/"{UNKNOWN_ID}"'
A_MEGABYTE = 1024 * 1024

# Left out, read in the source only: at most 8 entries with conditional writes and 50 updates in a
# transaction; and that a 429 fails its entry and all that run after it.


@pytest.fixture(scope="module")
def transactional(super_admin: Session) -> Iterator[Clinic]:
    """A project with the feature `transaction-bundles`."""
    clinic = projects.make_project(super_admin, "transactions", ["transaction-bundles"])
    yield clinic
    projects.remove_project(super_admin, clinic)


@pytest.mark.parametrize(
    ("method", "url", "resource", "status", "code"),
    [
        ("GET", f"Patient/{UNKNOWN_ID}", None, "404", "not-found"),
        ("GET", "Patient/1", None, "404", "not-found"),
        ("GET", "Foo/1", None, "404", "not-found"),
        ("GET", f"Foo/{UNKNOWN_ID}", None, "400", "structure"),
        ("GET", "Foo", None, "400", "structure"),
        ("GET", "Patient?foo=bar", None, "400", "invalid"),
        ("POST", "Project", {"resourceType": "Project", "name": "live"}, "403", "forbidden"),
        ("GET", "Login", None, "403", "forbidden"),
        ("POST", "Patient", {"resourceType": "Patient", "wrong": 1}, "400", "structure"),
    ],
    ids=[
        "unknown-id",
        "no-uuid",
        "unknown-type-no-uuid",
        "unknown-type-id",
        "unknown-type",
        "parameter",
        "project",
        "login",
        "field",
    ],
)
def test_an_entry_that_fails(
    admin: Session, method: str, url: str, resource: Json | None, status: str, code: str
) -> None:
    """HTTP 200; the entry is `{response: {outcome, status}}`, its status a bare string."""
    bundle = medplum.expect(admin.bundle([entry(method, url, resource)]))
    assert bundle["type"] == "batch-response"
    (answer,) = bundle["entry"]
    assert set(answer) == {"response"}
    assert set(answer["response"]) == {"outcome", "status"}
    assert answer["response"]["status"] == status
    assert answer["response"]["outcome"]["resourceType"] == "OperationOutcome"
    assert answer["response"]["outcome"]["issue"][0]["code"] == code


def test_entries_answer_in_the_order_of_the_request(made: Scratch) -> None:
    """Each entry answers in its place; a created one has status, location and resource."""
    patient = made.create({"resourceType": "Patient"})
    entries = [
        entry("GET", f"Patient/{patient['id']}"),
        entry("POST", "Basic", {"resourceType": "Basic", "code": {"text": "live"}}),
        entry("GET", f"Patient?_id={patient['id']}"),
    ]
    read, created, found = medplum.expect(made.admin.bundle(entries))["entry"]
    made.keep(f"Basic/{created['resource']['id']}")
    assert (read["response"]["status"], read["resource"]["id"]) == ("200", patient["id"])
    assert created["response"]["status"] == "201"
    assert created["response"]["location"].endswith(f"Basic/{created['resource']['id']}")
    assert found["resource"]["entry"][0]["resource"]["id"] == patient["id"]


def test_entries_run_by_kind(made: Scratch) -> None:
    """A DELETE written last runs first, and a PUT of the same id then brings it back."""
    patient = made.create({"resourceType": "Patient"})
    path = f"Patient/{patient['id']}"
    entries = [entry("PUT", path, {**patient, "active": True}), entry("DELETE", path)]
    answers = medplum.expect(made.admin.bundle(entries))["entry"]
    assert [each["response"]["status"] for each in answers] == ["200", "200"]
    assert made.admin.read(path)["active"] is True


def test_a_deleted_resource_is_410(made: Scratch) -> None:
    """Reading what is deleted: status `410`, code `deleted`."""
    patient = made.create({"resourceType": "Patient"})
    made.admin.delete(f"fhir/R4/Patient/{patient['id']}")
    (answer,) = medplum.expect(made.admin.bundle([entry("GET", f"Patient/{patient['id']}")]))[
        "entry"
    ]
    assert answer["response"]["status"] == "410"
    assert answer["response"]["outcome"]["issue"][0]["code"] == "deleted"


@pytest.mark.parametrize(("stale", "status"), [(True, "412"), (False, "200")])
def test_if_match_in_an_entry(made: Scratch, stale: bool, status: str) -> None:
    """`ifMatch` holds in an entry: stale is 412 in the entry, current is 200."""
    patient = made.create({"resourceType": "Patient"})
    tag = STALE if stale else f'W/"{patient["meta"]["versionId"]}"'
    write = entry("PUT", f"Patient/{patient['id']}", {**patient, "active": True}, ifMatch=tag)
    (answer,) = medplum.expect(made.admin.bundle([write]))["entry"]
    assert answer["response"]["status"] == status


def test_if_none_exist_in_an_entry(made: Scratch) -> None:
    """`ifNoneExist` holds in an entry: 201, then 200 with the one that is there."""
    value = uuid.uuid4().hex
    patient = {
        "resourceType": "Patient",
        "identifier": [{"system": "urn:medbots:live", "value": value}],
    }
    query = f"identifier=urn:medbots:live|{value}"
    write = entry("POST", "Patient", patient, ifNoneExist=query)
    answers = [medplum.expect(made.admin.bundle([write]))["entry"][0] for _ in range(2)]
    made.keep(f"Patient/{answers[0]['resource']['id']}")
    assert [each["response"]["status"] for each in answers] == ["201", "200"]


def test_the_extended_header_holds_for_every_entry(made: Scratch) -> None:
    """`X-Medplum: extended` on the batch shows meta.project in each read and search."""
    patient = made.create({"resourceType": "Patient"})
    entries = [
        entry("GET", f"Patient/{patient['id']}"),
        entry("GET", f"Patient?_id={patient['id']}"),
    ]
    document = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    read, found = medplum.expect(made.admin.post("fhir/R4", json=document, headers=EXTENDED))[
        "entry"
    ]
    assert read["resource"]["meta"]["project"] == made.clinic.id
    assert found["resource"]["entry"][0]["resource"]["meta"]["project"] == made.clinic.id
    plain = medplum.expect(made.admin.bundle(entries))["entry"][0]
    assert "project" not in plain["resource"]["meta"]


def test_deploy_works_as_an_entry(bots: Scratch) -> None:
    """`Bot/:id/$deploy` works as an entry of a batch."""
    bot_id = bots.bot()["id"]
    code = {"code": "exports.handler = async () => 'batch';\n", "filename": "index.js"}
    (answer,) = medplum.expect(bots.admin.bundle([entry("POST", f"Bot/{bot_id}/$deploy", code)]))[
        "entry"
    ]
    assert answer["response"]["status"] == "200"
    assert bots.admin.execute(bot_id).text == "batch"


def test_a_megabyte_is_too_large(admin: Session) -> None:
    """A batch's body is limited to 1 MB: 400 `File too large`."""
    patient = {"resourceType": "Basic", "code": {"text": "x" * A_MEGABYTE}}
    answer = admin.bundle([entry("POST", "Basic", patient)])
    assert answer.status_code == CODES.BAD_REQUEST
    assert medplum.text_of(answer) == "File too large"


class TestTransaction:
    """A Bundle of type `transaction`."""

    def test_without_the_feature_it_is_a_batch(self, new_project: Callable[..., Clinic]) -> None:
        """Without the feature: 200, and what goes well stays though another entry fails."""
        clinic = new_project("no transactions")
        answer = clinic.admin.bundle(good_and_bad(), "transaction")
        bundle = medplum.expect(answer)
        assert bundle["type"] == "transaction-response"
        assert [each["response"]["status"] for each in bundle["entry"]] == ["201", "400"]
        assert len(clinic.admin.find("Patient")) == 1

    def test_with_it_a_failure_rolls_back(self, transactional: Clinic) -> None:
        """With it: an error status, and nothing is written."""
        before = len(transactional.admin.find("Patient"))
        answer = transactional.admin.bundle(good_and_bad(), "transaction")
        assert answer.status_code == CODES.BAD_REQUEST
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert len(transactional.admin.find("Patient")) == before

    def test_with_it_all_is_written(self, transactional: Clinic) -> None:
        """With it: a reference to an entry's `urn:uuid:` becomes that resource's, unversioned."""
        with scratch.of(transactional) as made:
            full_url = f"urn:uuid:{uuid.uuid4()}"
            patient = {**entry("POST", "Patient", {"resourceType": "Patient"}), "fullUrl": full_url}
            observation = {
                "resourceType": "Observation",
                "status": "final",
                "code": {"text": "live"},
                "subject": {"reference": full_url},
            }
            entries = [patient, entry("POST", "Observation", observation)]
            bundle = medplum.expect(made.admin.bundle(entries, "transaction"))
            first, second = (each["resource"] for each in bundle["entry"])
            made.keep(f"Patient/{first['id']}")
            made.keep(f"Observation/{second['id']}")
            assert second["subject"]["reference"] == f"Patient/{first['id']}"

    def test_a_stale_if_match_is_412_and_rolls_back(self, transactional: Clinic) -> None:
        """A stale `ifMatch`: the whole answer is HTTP 412, and nothing is written."""
        with scratch.of(transactional) as made:
            patient = made.create({"resourceType": "Patient"})
            before = len(made.admin.find("Patient"))
            path = f"Patient/{patient['id']}"
            entries = [
                entry("POST", "Patient", {"resourceType": "Patient"}),
                entry("PUT", path, {**patient, "active": True}, ifMatch=STALE),
            ]
            answer = made.admin.bundle(entries, "transaction")
            assert answer.status_code == CODES.PRECONDITION_FAILED
            assert len(made.admin.find("Patient")) == before
            assert "active" not in made.admin.read(path)


def good_and_bad() -> list[Json]:
    """Return an entry that goes well and one that does not."""
    return [
        entry("POST", "Patient", {"resourceType": "Patient"}),
        entry("POST", "Patient", {"resourceType": "Patient", "wrong": 1}),
    ]
