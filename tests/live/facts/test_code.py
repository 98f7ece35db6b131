"""Facts of code and drift: Binaries, `$deploy`, what of a Bot survives, what can be compared."""

from __future__ import annotations

import hashlib

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

# Left out: that reading attachments is slow; the benchmarks measure it.


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
