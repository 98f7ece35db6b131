"""Facts of versions: PUT, ETag, If-Match, the conditional forms, deletion."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.live import medplum, projects
from tests.live.medplum import Json
from tests.live.scratch import Scratch

CODES = httpx.codes

# Left out: that parallel conditional creates of different resources, and concurrent PUTs of one,
# are 409 now and then: a test that waits for bad luck says nothing.


class TestVersions:
    """PUT, ETag, If-Match and the conditional forms."""

    def test_an_unchanged_put_makes_no_version(self, made: Scratch) -> None:
        """PUT unchanged: 200 and the same ETag."""
        patient = made.create({"resourceType": "Patient", "active": True})
        answer = made.admin.put(f"fhir/R4/Patient/{patient['id']}", json=patient)
        assert answer.status_code == CODES.OK
        assert answer.headers["ETag"] == f'W/"{patient["meta"]["versionId"]}"'

    def test_a_stale_if_match_is_412(self, made: Scratch) -> None:
        """A stale `If-Match`: 412, and nothing is written."""
        patient = made.create({"resourceType": "Patient", "active": True})
        path = f"fhir/R4/Patient/{patient['id']}"
        stale = {"If-Match": f'W/"{patient["meta"]["versionId"]}"'}
        changed = {**patient, "active": False}
        assert made.admin.put(path, json=changed, headers=stale).status_code == CODES.OK
        again = made.admin.put(path, json={**patient, "gender": "other"}, headers=stale)
        assert again.status_code == CODES.PRECONDITION_FAILED
        assert "gender" not in made.admin.read(f"Patient/{patient['id']}")

    def test_equal_content_with_if_match_excludes_nobody(self, made: Scratch) -> None:
        """Equal content written again with `If-Match`: 200 to everyone, and no new version."""
        patient = made.create({"resourceType": "Patient", "active": True})
        path = f"fhir/R4/Patient/{patient['id']}"
        match = {"If-Match": f'W/"{patient["meta"]["versionId"]}"'}
        changed = {**patient, "active": False}
        first = made.admin.put(path, json=changed, headers=match)
        tag = {"If-Match": first.headers["ETag"]}
        answers = [made.admin.put(path, json=changed, headers=tag) for _ in range(2)]
        assert [each.status_code for each in answers] == [CODES.OK, CODES.OK]
        assert {each.headers["ETag"] for each in answers} == {first.headers["ETag"]}

    def test_if_none_exist(self, made: Scratch) -> None:
        """`If-None-Exist`: 201, then 200 with the one that is there."""
        patient, query = marked()
        answers = [
            made.admin.post("fhir/R4/Patient", json=patient, headers={"If-None-Exist": query})
            for _ in range(2)
        ]
        made.keep(f"Patient/{answers[0].json()['id']}")
        assert [each.status_code for each in answers] == [CODES.CREATED, CODES.OK]
        assert answers[0].json()["id"] == answers[1].json()["id"]

    def test_a_conditional_put(self, made: Scratch) -> None:
        """Conditional PUT: 201, then 200; two that match: 412."""
        patient, query = marked()
        path = f"fhir/R4/Patient?{query}"
        first = made.admin.put(path, json=patient)
        made.keep(f"Patient/{first.json()['id']}")
        second = made.admin.put(path, json={**patient, "active": True})
        assert (first.status_code, second.status_code) == (CODES.CREATED, CODES.OK)
        assert second.json()["id"] == first.json()["id"]
        made.create(patient)
        third = made.admin.put(path, json=patient)
        assert third.status_code == CODES.PRECONDITION_FAILED

    @pytest.mark.parametrize("method", ["POST", "PUT"])
    def test_a_race_on_one_key_makes_one(self, made: Scratch, method: str) -> None:
        """Conditional writes of the same key in parallel make one resource."""
        patient, query = marked()

        def write(_: int) -> int:
            if method == "POST":
                headers = {"If-None-Exist": query}
                answer = made.admin.post("fhir/R4/Patient", json=patient, headers=headers)
            else:
                answer = made.admin.put(f"fhir/R4/Patient?{query}", json=patient)
            return answer.status_code

        with ThreadPoolExecutor(4) as pool:
            statuses = list(pool.map(write, range(4)))
        (only,) = made.admin.find(f"Patient?{query}")
        made.keep(f"Patient/{only['id']}")
        assert statuses.count(CODES.CREATED) == 1
        assert set(statuses) <= {CODES.CREATED, CODES.OK, CODES.CONFLICT}

    def test_a_conditional_write_makes_no_membership(self, made: Scratch) -> None:
        """Neither conditional form makes a ProjectMembership for a Bot."""
        mark = {"system": "urn:medbots:live", "value": projects.unique("mark")}
        bot = {
            "resourceType": "Bot",
            "identifier": [mark],
            "name": mark["value"],
            "runtimeVersion": "vmcontext",
        }
        query = f"identifier={mark['system']}|{mark['value'].replace(' ', '%20')}"
        answer = made.admin.put(f"fhir/R4/Bot?{query}", json=bot)
        assert answer.status_code == CODES.CREATED
        bot_id = answer.json()["id"]
        made.keep(f"Bot/{bot_id}")
        assert made.memberships(bot_id) == []

    def test_a_put_brings_a_deleted_resource_back(self, made: Scratch) -> None:
        """A deleted resource is 410; a PUT brings it back under its id."""
        patient = made.create({"resourceType": "Patient", "active": True})
        path = f"fhir/R4/Patient/{patient['id']}"
        assert made.admin.delete(path).status_code == CODES.OK
        gone = made.admin.get(path)
        assert gone.status_code == CODES.GONE
        assert gone.json()["issue"][0]["code"] == "deleted"
        assert made.admin.put(path, json=patient).status_code == CODES.OK
        assert made.admin.read(f"Patient/{patient['id']}")["active"] is True

    def test_the_history_keeps_the_deletion(self, made: Scratch) -> None:
        """The history of a resource shows its deletion, newest first."""
        patient = made.create({"resourceType": "Patient"})
        path = f"fhir/R4/Patient/{patient['id']}"
        made.admin.delete(path)
        made.admin.put(path, json={**patient, "active": True})
        bundle = medplum.expect(made.admin.get(f"{path}/_history"))
        assert [
            each["resource"]["meta"]["versionId"] if "resource" in each else "deleted"
            for each in bundle["entry"]
        ][1:] == ["deleted", patient["meta"]["versionId"]]

    def test_an_inline_attachment_has_a_limit(self, made: Scratch) -> None:
        """An inline attachment of about 0.8 MB or more before base64: 400."""
        document = {
            "resourceType": "DocumentReference",
            "status": "current",
            "content": [{"attachment": {"contentType": "text/plain", "data": "eHh4" * 280_000}}],
        }
        answer = made.admin.post("fhir/R4/DocumentReference", json=document)
        assert answer.status_code == CODES.BAD_REQUEST


def marked() -> tuple[Json, str]:
    """Return a Patient with an identifier of its own, and the query that finds it."""
    value = projects.unique("patient").replace(" ", "-")
    identifier = {"system": "urn:medbots:live", "value": value}
    patient = {"resourceType": "Patient", "identifier": [identifier]}
    return patient, f"identifier=urn:medbots:live|{value}"
