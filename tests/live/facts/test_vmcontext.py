"""Facts of the runtime `vmcontext`: what code finds there, and what fails only when it runs."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.live import medplum, projects, scratch
from tests.live.medplum import Json, Session
from tests.live.projects import Clinic
from tests.live.scratch import Scratch

PRESENT = {
    "console": "object",
    "fetch": "function",
    "require": "function",
    "ContentType": "object",
    "Hl7Message": "function",
    "MedplumClient": "function",
    "TextEncoder": "function",
    "TextDecoder": "function",
    "URL": "function",
    "URLSearchParams": "function",
}
ABSENT = (
    "setTimeout",
    "setInterval",
    "Buffer",
    "AbortController",
    "crypto",
    "performance",
    "structuredClone",
    "atob",
    "queueMicrotask",
)
BY_RELEASE = {
    "process": ("object", "undefined"),
    "Headers": ("undefined", "function"),
    "Request": ("undefined", "function"),
}
"""In 5.1, and in later releases: those give bots Node's own fetch with its classes."""
MODULES = (
    "pg",
    "ioredis",
    "bullmq",
    "node-fetch",
    "axios",
    "@medplum/core",
    "@medplum/ccda",
    "jose",
    "zod",
    "uuid",
    "crypto",
    "node:timers",
    "node:buffer",
)
MISSING = ("openai", "langchain", "pgvector")
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

# Left out, for they stop or block the server that others work with: a throw in a timer's callback
# kills the process; synchronous code that spins blocks every request until `timeout`. Left out,
# for it would fill the database's connections: that a pool a run leaks them.


@pytest.fixture(scope="module")
def probe(clinic: Clinic) -> Iterator[Json]:
    """What a bot sees, asked in one run: the type of each name, the fate of each module."""
    if "bots" not in clinic.features:
        pytest.skip("the project lacks the feature bots")
    names = sorted({*PRESENT, *ABSENT, *BY_RELEASE})
    types = ", ".join(f"{json.dumps(name)}: typeof {name}" for name in names)
    code = (
        f"const types = {{{types}}};\n"
        f"const modules = {{}};\n"
        f"for (const name of {json.dumps([*MODULES, *MISSING])}) {{\n"
        "  try { modules[name] = typeof require(name); }\n"
        "  catch (error) { modules[name] = error.code; }\n"
        "}\n"
        "exports.handler = async (medplum, event) => ({\n"
        "  types, modules, event: Object.keys(event),\n"
        "  console: ['log', 'error', 'warn', 'info', 'debug'].filter((name) => console[name]),\n"
        "  runs: (globalThis.runs = (globalThis.runs ?? 0) + 1),\n"
        "});\n"
    )
    with scratch.of(clinic) as made:
        bot_id = made.bot(code)["id"]
        first = medplum.expect(made.admin.execute(bot_id))
        yield {**first, "again": medplum.expect(made.admin.execute(bot_id))}


@pytest.mark.parametrize("name", PRESENT)
def test_present(probe: Json, name: str) -> None:
    """A global that bots may use."""
    assert probe["types"][name] == PRESENT[name]


@pytest.mark.parametrize("name", ABSENT)
def test_absent(probe: Json, name: str) -> None:
    """A global that a bot must take from `node:…` or do without."""
    assert probe["types"][name] == "undefined"


@pytest.mark.parametrize("name", BY_RELEASE)
def test_releases_differ(probe: Json, name: str, of_5_1: bool) -> None:
    """5.1 gives bots node-fetch and `process`, later releases Node's own fetch and its classes."""
    in_5_1, later = BY_RELEASE[name]
    assert probe["types"][name] == (in_5_1 if of_5_1 else later)


@pytest.mark.parametrize("name", MODULES)
def test_require_finds(probe: Json, name: str) -> None:
    """A module of the server's own, or a builtin."""
    assert probe["modules"][name] in {"object", "function"}


@pytest.mark.parametrize("name", MISSING)
def test_require_does_not_find(probe: Json, name: str) -> None:
    """A module that a bot has to bundle."""
    assert probe["modules"][name] == "MODULE_NOT_FOUND"


def test_the_console_logs_and_no_more(probe: Json) -> None:
    """The console has `log` only."""
    assert probe["console"] == ["log"]


def test_the_event_is_complete(probe: Json) -> None:
    """The event holds bot, requester, input, contentType, secrets, traceId and headers."""
    wanted = {"bot", "requester", "input", "contentType", "secrets", "traceId", "headers"}
    assert wanted <= set(probe["event"])


def test_the_context_is_fresh_in_every_run(probe: Json) -> None:
    """A global that one run sets is not there in the next."""
    assert (probe["runs"], probe["again"]["runs"]) == (1, 1)


class TestWhatFailsOnlyAtRunTime:
    """Code that uploads and deploys without complaint."""

    @pytest.mark.parametrize(
        ("code", "message"),
        [
            (
                f"{HANDLER}{{ console.error('x'); return 1; }};\n",
                "console.error is not a function",
            ),
            ("const one = 1;\n", "exports.handler is not a function"),
            (
                "module.exports = { handler: async () => 1 };\n",
                "exports.handler is not a function",
            ),
            ("export const handler = async () => 1;\n", "Unexpected token 'export'"),
            (
                "import pg from 'pg';\nexports.handler = async () => 1;\n",
                "Cannot use import statement outside a module",
            ),
            (
                "const one: number = 1;\nexports.handler = async () => one;\n",
                "Missing initializer in const declaration",
            ),
            (
                "const one = await Promise.resolve(1);\nexports.handler = async () => one;\n",
                "await is only valid in async functions and the top level bodies of modules",
            ),
            (
                "exports.handler = async function () { return 1; }\n",
                "(intermediate value)(...) is not a function",
            ),
            (f"{HANDLER}setTimeout(() => 1, 1);\n", "setTimeout is not defined"),
            (
                "const openai = require('openai');\nexports.handler = async () => 1;\n",
                "Cannot find module 'openai'",
            ),
        ],
        ids=[
            "console.error",
            "no-handler",
            "module.exports",
            "esm-export",
            "esm-import",
            "typescript",
            "top-level-await",
            "no-semicolon",
            "missing-global",
            "missing-module",
        ],
    )
    def test_it(self, bots: Scratch, code: str, message: str) -> None:
        """201 for the bot, 200 for `$deploy`, and 400 with the reason from `$execute`."""
        bot_id = bots.bot(code)["id"]
        deployed = bots.admin.post(f"fhir/R4/Bot/{bot_id}/$deploy", json={"code": code})
        assert deployed.status_code == httpx.codes.OK
        answer = bots.admin.execute(bot_id)
        assert answer.status_code == httpx.codes.BAD_REQUEST
        assert medplum.text_of(answer).startswith(message)

    def test_an_arrow_without_semicolon_is_a_500(self, bots: Scratch) -> None:
        """A last statement without `;` may be called as a function: here a 500."""
        answer = bots.run("exports.handler = async () => 1\n")
        assert answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR
        assert answer.json() == {"msg": "Internal Server Error"}

    def test_the_footer_mends_module_exports(self, bots: Scratch) -> None:
        """`Object.assign(exports, module.exports);` makes a CommonJS bundle run."""
        code = (
            "module.exports = { handler: async () => 'ran' };\n"
            "Object.assign(exports, module.exports);\n"
        )
        assert answered(bots.run(code)) == "ran"

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"runtimeVersion": "no-such-runtime"}, "Unsupported bot runtime"),
            ({"runtimeVersion": "vmcontext"}, "No executable code"),
        ],
        ids=["runtime", "no-code"],
    )
    def test_a_bot_that_cannot_run(self, bots: Scratch, fields: Json, message: str) -> None:
        """An unknown runtime, or no code: 400 with the reason."""
        bot = bots.create({"resourceType": "Bot", "name": projects.unique("bot"), **fields})
        answer = bots.admin.execute(bot["id"])
        assert answer.status_code == httpx.codes.BAD_REQUEST
        assert medplum.text_of(answer) == message

    def test_code_that_is_not_there(self, bots: Scratch) -> None:
        """A dangling Binary: 404."""
        bot = bots.lonely_bot(executableCode={"url": "Binary/00000000-0000-4000-8000-000000000000"})
        assert bots.admin.execute(bot["id"]).status_code == httpx.codes.NOT_FOUND


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
