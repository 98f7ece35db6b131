"""Facts of a run: what goes into a bot, what comes out, its secrets and its AuditEvent."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.live import medplum, scratch
from tests.live.medplum import Json, Session
from tests.live.scratch import Scratch

HANDLER = "exports.handler = async (medplum, event) => "
WAIT_A_SECOND = (
    "const timers = require('node:timers');\n"
    f"{HANDLER}new Promise((done) => timers.setTimeout(() => done('late'), 1200));\n"
)
SHOW_SECRETS = (
    f"{HANDLER}Object.fromEntries(\n"
    "  Object.entries(event.secrets).map(([name, secret]) => [name, secret.valueString]));\n"
)
FAIL_ON_DEMAND = (
    f"{HANDLER}{{\n"
    "  console.log('before');\n"
    "  if (event.input.fail) throw new Error('boom');\n"
    "};\n"
)


class TestExecute:
    """`$execute`: what goes in, and what comes out."""

    @pytest.mark.parametrize(
        ("expression", "text"),
        [
            ("({ a: [1, true, null] })", '{"a":[1,true,null]}'),
            ("[1]", "[1]"),
            ("42", "42"),
            ("true", "true"),
            ("'plain'", "plain"),
        ],
        ids=["object", "array", "number", "boolean", "string"],
    )
    def test_a_value_comes_back_as_json(self, bots: Scratch, expression: str, text: str) -> None:
        """The handler's value is the body, as application/json; a string stays bare."""
        answer = bots.run(f"{HANDLER}{expression};\n")
        assert answer.status_code == httpx.codes.OK
        assert answer.headers["Content-Type"].startswith("application/json")
        assert answer.text == text

    def test_no_value_is_all_ok(self, bots: Scratch) -> None:
        """A handler that returns nothing: 200 with the OperationOutcome `All OK`."""
        answer = bots.run(f"{HANDLER}undefined;\n")
        assert answer.status_code == httpx.codes.OK
        assert medplum.text_of(answer) == "All OK"

    def test_the_input_is_the_body(self, bots: Scratch) -> None:
        """The body is the input as it is; Parameters are not unwrapped."""
        bot_id = bots.bot()["id"]
        parameters = {
            "resourceType": "Parameters",
            "parameter": [{"name": "a", "valueString": "b"}],
        }
        for body in ({"input": {"x": 1}}, parameters, [1, 2]):
            assert medplum.expect(bots.admin.execute(bot_id, body)) == body

    @pytest.mark.parametrize("thrown", ["new Error('boom')", "'boom'"], ids=["error", "string"])
    def test_an_error_is_400(self, bots: Scratch, thrown: str) -> None:
        """An error: 400 with an OperationOutcome of its message."""
        answer = bots.run(f"{HANDLER}{{ throw {thrown}; }};\n")
        assert answer.status_code == httpx.codes.BAD_REQUEST
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert medplum.text_of(answer) == "boom"

    @pytest.mark.parametrize("how", ["throw", "return"])
    @pytest.mark.parametrize(
        ("outcome_id", "status"), [("not-found", 404), ("conflict", 409), ("forbidden", 403)]
    )
    def test_an_outcome_keeps_its_status(
        self, bots: Scratch, how: str, outcome_id: str, status: int
    ) -> None:
        """An OperationOutcome that the handler throws or returns keeps its status."""
        issue = {"severity": "error", "code": outcome_id, "details": {"text": "mine"}}
        outcome = {"resourceType": "OperationOutcome", "id": outcome_id, "issue": [issue]}
        answer = bots.run(f"{HANDLER}{{ {how} {json.dumps(outcome)}; }};\n")
        assert answer.status_code == status
        assert medplum.text_of(answer) == "mine"

    def test_an_async_handler_outlives_its_timeout(self, bots: Scratch) -> None:
        """`timeout` limits synchronous code only: an awaited call is not stopped."""
        bot = bots.lonely_bot(WAIT_A_SECOND, timeout=1)
        assert answered(bots.admin.execute(bot["id"])) == "late"

    def test_an_await_can_be_limited(self, bots: Scratch) -> None:
        """`node:timers` and an abort signal from `node:util` limit an awaited fetch."""
        slow = bots.bot(WAIT_A_SECOND)["id"]
        code = (
            "const timers = require('node:timers');\n"
            "const util = require('node:util');\n"
            f"{HANDLER}{{\n"
            "  const controller = util.transferableAbortController();\n"
            "  const timer = timers.setTimeout(() => controller.abort(), 100);\n"
            f"  const url = medplum.getBaseUrl() + 'fhir/R4/Bot/{slow}/$execute';\n"
            "  const headers = { Authorization: 'Bearer ' + medplum.getAccessToken() };\n"
            "  try {\n"
            "    await fetch(url, { method: 'POST', headers, signal: controller.signal });\n"
            "    return 'answered';\n"
            "  } catch (error) {\n"
            "    return error.name;\n"
            "  } finally {\n"
            "    timers.clearTimeout(timer);\n"
            "  }\n"
            "};\n"
        )
        assert answered(bots.run(code)) == "AbortError"

    def test_the_client_is_the_bot(self, bots: Scratch) -> None:
        """`medplum` acts as the bot, and `event` names bot and requester."""
        code = (
            f"{HANDLER}({{ bot: event.bot, requester: event.requester,"
            " type: event.contentType, me: (await medplum.get('auth/me')).profile });\n"
        )
        bot_id = bots.bot(code)["id"]
        seen = medplum.expect(bots.admin.execute(bot_id))
        me = medplum.expect(bots.admin.get("auth/me"))["profile"]["id"]
        assert seen["bot"]["reference"] == f"Bot/{bot_id}"
        assert seen["requester"]["reference"] == f"Practitioner/{me}"
        assert seen["type"] == "application/json"
        assert (seen["me"]["resourceType"], seen["me"]["id"]) == ("Bot", bot_id)


class TestSecrets:
    """Project secrets, which bots see as `event.secrets`."""

    @pytest.fixture
    def secrets(self, bots: Scratch) -> Iterator[list[Json]]:
        """The project's secrets before the test; they are put back after it."""
        path = f"admin/projects/{bots.clinic.id}/secrets"
        before = bots.admin.read(f"Project/{bots.clinic.id}").get("secret", [])
        yield before
        medplum.expect(bots.admin.post(path, json=before))

    def test_they_replace_the_whole_list(self, bots: Scratch, secrets: list[Json]) -> None:
        """`POST /admin/projects/:pid/secrets` replaces the list; the bot sees `valueString`."""
        path = f"admin/projects/{bots.clinic.id}/secrets"
        bot_id = bots.bot(SHOW_SECRETS)["id"]
        for names in (["LIVE_A", "LIVE_B"], ["LIVE_C"]):
            given = [{"name": name, "valueString": f"value of {name}"} for name in names]
            medplum.expect(bots.admin.post(path, json=[*secrets, *given]))
            seen = medplum.expect(bots.admin.execute(bot_id))
            live = {name: value for name, value in seen.items() if name.startswith("LIVE_")}
            assert live == {name: f"value of {name}" for name in names}

    def test_an_empty_value_is_refused(self, bots: Scratch, secrets: list[Json]) -> None:
        """An empty secret value: 400."""
        path = f"admin/projects/{bots.clinic.id}/secrets"
        empty = [*secrets, {"name": "LIVE_EMPTY", "valueString": ""}]
        answer = bots.admin.post(path, json=empty)
        assert answer.status_code == httpx.codes.BAD_REQUEST
        assert answer.json()["issue"][0]["code"] == "structure"

    def test_a_member_cannot_set_them(self, bots: Scratch) -> None:
        """A member who is no admin gets 403."""
        path = f"admin/projects/{bots.clinic.id}/secrets"
        answer = bots.member().session.post(path, json=[])
        assert answer.status_code == httpx.codes.FORBIDDEN


class TestAuditEvent:
    """The AuditEvent of a run, the only trace that a client can see."""

    def test_a_run_that_went_well(self, bots: Scratch) -> None:
        """type.code `execute`, observer the Bot, outcome 0, outcomeDesc the log."""
        bot_id = bots.bot(f"{HANDLER}{{ console.log('one', 2); return 3; }};\n")["id"]
        medplum.expect(bots.admin.execute(bot_id))
        (event,) = audited(bots.admin, f"source=Bot/{bot_id}")
        assert event["type"]["code"] == "execute"
        assert event["source"]["observer"]["reference"] == f"Bot/{bot_id}"
        assert event["outcome"] == "0"
        assert event["outcomeDesc"].strip() == "one 2"
        assert [each["what"]["reference"] for each in event["entity"]] == [f"Bot/{bot_id}"]
        assert [each["requestor"] for each in event["agent"]] == [True, False]

    def test_a_run_that_failed(self, bots: Scratch) -> None:
        """Outcome 4; found by `source=Bot/<id>&outcome=4&_sort=-_lastUpdated`."""
        bot_id = bots.bot(FAIL_ON_DEMAND)["id"]
        bots.admin.execute(bot_id, {"fail": False})
        bots.admin.execute(bot_id, {"fail": True})
        query = f"source=Bot/{bot_id}&outcome=4&_sort=-_lastUpdated"
        (event,) = audited(bots.admin, query)
        assert event["outcomeDesc"].startswith("before\n")
        assert "Unhandled error: boom" in event["outcomeDesc"]

    def test_the_guides_searches(self, bots: Scratch) -> None:
        """`agent=Bot` finds nothing, and `_sort=-recorded` is 400."""
        bot_id = bots.bot()["id"]
        bots.admin.execute(bot_id)
        audited(bots.admin, f"source=Bot/{bot_id}")
        assert bots.admin.find("AuditEvent?agent=Bot") == []
        answer = bots.admin.get("fhir/R4/AuditEvent?_sort=-recorded")
        assert answer.status_code == httpx.codes.BAD_REQUEST


def audited(session: Session, query: str) -> list[Json]:
    """Return the AuditEvents of a search, waiting for the first."""
    return scratch.wait_for(session, f"AuditEvent?{query}")


def answered(answer: httpx.Response) -> str:
    """Return the text of an answer that must be 200."""
    assert answer.status_code == httpx.codes.OK, answer.text
    return answer.text
