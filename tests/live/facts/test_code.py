"""Facts of code and drift: Binaries, `$deploy`, what of a Bot survives, what can be compared."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.live import medplum, projects
from tests.live.medplum import Json
from tests.live.scratch import Scratch

CODES = httpx.codes
CODE = b"exports.handler = async () => 'ran';\n"
NEW_CODE = "exports.handler = async () => 'changed';\n"
DIGEST = {"system": "urn:medbots:live/digest", "code": hashlib.sha256(CODE).hexdigest()}
SUBSETTED = {"system": "http://hl7.org/fhir/v3/ObservationValue", "code": "SUBSETTED"}
LARGE = 20 * 1024 * 1024
"""Bytes; more than any bundle has."""
A_MEGABYTE = 1024 * 1024

# Left out: that parallel conditional creates of different resources, and concurrent PUTs of one,
# are 409 now and then: a test that waits for bad luck says nothing. That reading attachments is
# slow is for the benchmarks.


class TestBinary:
    """`POST /fhir/R4/Binary?_filename=…`: a raw body."""

    @pytest.mark.parametrize(
        "content_type", ["application/javascript", "text/plain", "application/pdf"]
    )
    def test_any_content_type(self, made: Scratch, content_type: str) -> None:
        """A raw body of any content type comes back byte for byte."""
        reference = made.binary(CODE, content_type)
        answer = made.admin.get(f"fhir/R4/{reference}")
        assert answer.status_code == CODES.OK
        assert answer.content == CODE
        assert answer.headers["Content-Type"].split(";")[0] == content_type

    def test_a_large_one(self, made: Scratch) -> None:
        """20 MB go through."""
        content = b"x" * LARGE
        reference = made.binary(content, "text/plain")
        assert made.admin.get(f"fhir/R4/{reference}").content == content

    def test_another_projects_is_not_found(self, made: Scratch, nobody: medplum.Session) -> None:
        """Without a token it is 401."""
        reference = made.binary(CODE)
        assert nobody.get(f"fhir/R4/{reference}").status_code == CODES.UNAUTHORIZED


class TestPresigned:
    """`executableCode.url` on read."""

    def test_it_is_presigned(self, bots: Scratch, nobody: medplum.Session) -> None:
        """`…/storage/<binaryId>/<versionId>?Expires=…`: good without a token, for a while."""
        url = bots.binary(CODE)
        bot = bots.lonely_bot(executableCode={"contentType": "text/javascript", "url": url})
        signed = httpx.URL(bots.admin.read(f"Bot/{bot['id']}")["executableCode"]["url"])
        binary_id = url.removeprefix("Binary/")
        assert signed.path.split("/")[-3:-1] == ["storage", binary_id]
        assert {"Expires", "Signature"} <= set(signed.params)
        assert nobody.get(str(signed)).content == CODE
        bare = nobody.get(str(signed.copy_with(query=None)))
        assert bare.status_code == CODES.UNAUTHORIZED

    def test_putting_it_back_is_safe(self, bots: Scratch) -> None:
        """A PUT of what was read keeps the code, and writes no new version."""
        bot = bots.bot(CODE.decode())
        before = bots.admin.get(f"fhir/R4/Bot/{bot['id']}")
        after = bots.admin.put(f"fhir/R4/Bot/{bot['id']}", json=before.json())
        assert after.status_code == CODES.OK
        assert after.headers["ETag"] == before.headers["ETag"]
        assert bots.admin.execute(bot["id"]).text == "ran"


class TestDeploy:
    """`$deploy {code, filename}`."""

    @pytest.fixture
    def bot(self, bots: Scratch) -> Json:
        """A Bot with everything that medbots manages."""
        code = {
            "contentType": "application/javascript",
            "title": "index.js",
            "url": bots.binary(CODE),
            "hash": "Z3JlYXQ=",
            "size": len(CODE),
            "creation": "2026-01-02T03:04:05.000Z",
        }
        return bots.lonely_bot(
            identifier=[{"system": "urn:medbots:live", "value": "code"}],
            meta={"tag": [DIGEST]},
            extension=[{"url": "urn:medbots:live/extension", "valueString": "kept"}],
            executableCode=code,
        )

    def test_what_survives_a_create(self, bots: Scratch, bot: Json) -> None:
        """identifier, meta.tag, extension, Attachment hash, size and creation survive."""
        read = bots.admin.read(f"Bot/{bot['id']}")
        assert read["identifier"] == [{"system": "urn:medbots:live", "value": "code"}]
        assert read["meta"]["tag"] == [DIGEST]
        assert read["extension"][0]["valueString"] == "kept"
        code = {key: value for key, value in read["executableCode"].items() if key != "url"}
        assert code == {
            "contentType": "application/javascript",
            "title": "index.js",
            "hash": "Z3JlYXQ=",
            "size": len(CODE),
            "creation": "2026-01-02T03:04:05.000Z",
        }

    def test_it_replaces_the_code_and_drops_the_hash(self, bots: Scratch, bot: Json) -> None:
        """It makes a Binary and replaces executableCode, without `hash`; the rest stays."""
        answer = bots.admin.post(
            f"fhir/R4/Bot/{bot['id']}/$deploy", json={"code": NEW_CODE, "filename": "new.js"}
        )
        assert medplum.text_of(answer) == "All OK"
        read = bots.admin.read(f"Bot/{bot['id']}")
        assert set(read["executableCode"]) == {"contentType", "url", "title"}
        assert read["executableCode"]["title"] == "new.js"
        assert httpx.get(read["executableCode"]["url"]).text == NEW_CODE
        assert read["meta"]["tag"] == [DIGEST]
        assert read["identifier"] == bot["identifier"]
        assert bots.admin.execute(bot["id"]).text == "changed"

    def test_a_megabyte_is_too_large(self, bots: Scratch) -> None:
        """`$deploy` is limited to 1 MB of JSON: 400 `File too large`."""
        body = {"code": CODE.decode() + "/" * A_MEGABYTE, "filename": "index.js"}
        answer = bots.admin.post(f"fhir/R4/Bot/{bots.bot()['id']}/$deploy", json=body)
        assert answer.status_code == CODES.BAD_REQUEST
        assert medplum.text_of(answer) == "File too large"

    def test_without_code_there_is_nothing_to_deploy(self, bots: Scratch) -> None:
        """A Bot that has no code, and none in the body: 400 `Bot missing executable code`."""
        answer = bots.admin.post(f"fhir/R4/Bot/{bots.bot(None)['id']}/$deploy", json={})
        assert answer.status_code == CODES.BAD_REQUEST
        assert medplum.text_of(answer) == "Bot missing executable code"

    def test_the_tag_is_searchable_with_few_fields(self, bots: Scratch, bot: Json) -> None:
        """With `_fields=name,identifier` the tag comes too, and one more: SUBSETTED."""
        query = f"Bot?_tag={DIGEST['system']}|{DIGEST['code']}&_fields=name,identifier"
        (found,) = bots.admin.find(query)
        assert found["id"] == bot["id"]
        assert set(found) == {"resourceType", "id", "meta", "name", "identifier"}
        assert found["meta"]["tag"] == [DIGEST, SUBSETTED]

    @pytest.mark.parametrize(
        ("query", "number"),
        [
            ("_tag={system}|", 1),
            ("_tag={system}%7C", 1),
            ("_tag={system}", 0),
            ("_tag={system}/x|", 0),
            ("identifier=urn:medbots:live|", 1),
        ],
    )
    def test_a_system_alone_is_searchable(
        self, bots: Scratch, bot: Json, query: str, number: int
    ) -> None:
        """`_tag=<system>|` and `identifier=<system>|` find all of that system, exactly."""
        found = bots.admin.find(f"Bot?{query.format(system=DIGEST['system'])}&_id={bot['id']}")
        assert len(found) == number

    def test_a_put_without_tag_drops_it(self, bots: Scratch, bot: Json) -> None:
        """A PUT is a full replace: what it lacks is gone, `meta.tag` too."""
        bare = {
            "resourceType": "Bot",
            "id": bot["id"],
            "name": projects.unique("bot"),
            "runtimeVersion": "vmcontext",
        }
        bots.admin.update(bare)
        read = bots.admin.read(f"Bot/{bot['id']}")
        assert set(read) == {"resourceType", "id", "meta", "name", "runtimeVersion"}
        assert "tag" not in read["meta"]


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
