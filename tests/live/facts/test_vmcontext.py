"""Facts of the runtime `vmcontext`: what code finds there, and what fails only when it runs."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.live import medplum, projects, scratch
from tests.live.medplum import Json
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
        assert bots.run(code).text == "ran"

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
