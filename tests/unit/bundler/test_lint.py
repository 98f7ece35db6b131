"""The lint: each rule by what it refuses, and by the nearest thing that it lets pass."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from medbots import bundler, model
from medbots.bundler import Severity, linting, project, shape, tools
from tests.support import bot_project

OK = "exports.handler = async (medplum, event) => {\n%s\n};\n"


@pytest.fixture(autouse=True)
def _node() -> None:
    if tools.node(os.environ) is None or linting._program() is None:
        pytest.skip("Node or the lint program is not there (cure: make build)")


def found(code: str, environ: dict[str, str] | None = None) -> list[bundler.Finding]:
    """What the lint says to this code."""
    raw = code.encode()
    return bundler.lint(model.Bundle("bot", raw, project.digest(raw)), environ=environ)


def rules(code: str) -> list[tuple[str, int | None]]:
    """Rule and line of each finding."""
    return [(one.rule, one.line) for one in found(code)]


def inside(statement: str) -> list[str]:
    """The rules that a statement in the handler breaks."""
    return [rule for rule, line in rules(OK % statement) if line == 2]


def test_a_sound_bundle_is_let_pass() -> None:
    """Nothing is found in code that keeps to what the server has."""
    assert rules(OK % "console.log(new URL(event.input).host); return medplum.readHistory;") == []


REFUSED = {
    "console.error('x');": "console",
    "console.warn('x');": "console",
    "console.info('x');": "console",
    "console['debug']('x');": "console",
    "const run = console.table; run();": "console",
    "process.env.HOME;": "process",
    "const { env } = process;": "process",
    "await import('node:fs');": "dynamic-import",
    "require('openai');": "require",
    "require('pgvector/pg');": "require",
    "require('./other.js');": "require",
    "require(event.input);": "require",
    "await fetch('http://x');": "time-limit",
    "await fetch('http://x', {});": "time-limit",
    "await fetch('http://x', { timeout: 5 });": "time-limit",
    "await globalThis.fetch('http://x');": "time-limit",
    "const options = { method: 'POST' }; await fetch('http://x', options);": "time-limit",
    "fetch('http://x').then((r) => r.json());": "time-limit",
    "const nf = require('node-fetch'); await nf('http://x', { timeout: 5 });": "time-limit",
    "const pg = require('pg'); new pg.Client({});": "time-limit",
    "const { Client } = require('pg'); new Client('postgres://x');": "time-limit",
    "const { Client } = require('pg'); new Client({ query_timeout: 5 });": "time-limit",
    "const { Client } = require('pg'); new Client({ connectionTimeoutMillis: 5 });": "time-limit",
    "const { Client } = require('pg'); new Client();": "time-limit",
    "const { Pool } = require('pg'); new Pool({ query_timeout: 5 });": "pool",
    "const axios = require('axios'); await axios.get('http://x');": "time-limit",
    "const axios = require('axios'); await axios.post('http://x', { timeout: 1 });": "time-limit",
    "const axios = require('axios'); await axios({ url: 'http://x' });": "time-limit",
    "const { Redis } = require('ioredis'); new Redis('redis://x');": "time-limit",
    "const { Redis } = require('ioredis'); new Redis({ commandTimeout: 5 });": "time-limit",
    "globalThis.setTimeout(() => 1, 5);": "missing-global",
    "if (typeof Buffer === 'function') {} const f = () => 1; f(); Blob;": "missing-global",
    "return undeclared;": "missing-global",
    "return __dirname;": "missing-global",
}


@pytest.mark.parametrize(("statement", "rule"), REFUSED.items())
def test_what_fails_only_on_the_server_is_found(statement: str, rule: str) -> None:
    """One statement, one finding, at its line."""
    assert inside(statement) == [rule]


@pytest.mark.parametrize("name", sorted(shape.CURES))
def test_every_absent_global_is_found_with_its_cure(name: str) -> None:
    """What Node has and the server lacks is refused, and the message says what to write."""
    (finding,) = [one for one in found(OK % f"return {name};") if one.line == 2]
    assert finding.rule == ("process" if name == "process" else "missing-global")
    assert finding.refuses
    assert finding.message == f"{name} is no global on the server: {shape.CURES[name]}"


ALLOWED = [
    "const console = { error() {} }; console.error('x');",
    "const { setTimeout } = require('node:timers'); setTimeout(() => 1, 5);",
    "const Buffer = 1; return Buffer;",
    "function Buffer() {} return Buffer();",
    "class Headers {} return new Headers();",
    "for (const crypto of [1]) { return crypto; }",
    "try { return 1; } catch (performance) { return performance; }",
    "const { Blob = 1, ...Request } = event; return [Blob, Request];",
    "return ((Response) => Response)(1);",
    "const named = function atob(n) { return n ? atob(n - 1) : 0; }; return named(1);",
    "return { Buffer: 1, setTimeout() {} }.Buffer;",
    "return event.setTimeout;",
    "process: for (;;) { break process; }",
    "class A { Buffer = 1; static crypto() {} } return A;",
    "return typeof Buffer;",
    "if (typeof AbortController === 'undefined') { return 1; } return new AbortController();",
    "switch (event) { case 1: { let atob = 1; return atob; } }",
    "return arguments;",
    "return [Math, JSON, Intl, WebAssembly, globalThis, undefined, NaN, Reflect];",
    "return [ContentType, Hl7Message, MedplumClient, TextEncoder, TextDecoder, URLSearchParams];",
    "return [require('pg'), require('@medplum/core'), require('zod/v4'), require('node:fs')];",
    "return require('crypto');",
    "const require = (name) => name; return require('openai');",
    "await fetch('http://x', { signal: event.signal });",
    "const { signal } = event; await fetch('http://x', { method: 'POST', signal });",
    "await fetch('http://x', event.options);",
    "await fetch('http://x', { ...event.options });",
    "const options = { signal: event.signal }; await fetch('http://x', options);",
    "await Promise.race([fetch('http://x'), event.limit]);",
    "await medplum.fetch('http://x');",
    "const fetch = event.fetch; await fetch('http://x');",
    "new (require('pg').Client)({ query_timeout: 5, connectionTimeoutMillis: 5 });",
    "new (require('pg').Client)({ ...event.pg });",
    "const axios = require('axios'); await axios.get('http://x', { timeout: 5 });",
    "const axios = require('axios'); await axios.post('http://x', {}, { signal: event.signal });",
    "const axios = require('axios'); return axios.isAxiosError(event);",
    "class Client {} return new Client({});",
]


@pytest.mark.parametrize("statement", ALLOWED)
def test_what_works_on_the_server_is_let_pass(statement: str) -> None:
    """Names of one's own, guards, limits that are given or cannot be seen: no finding."""
    code = OK % statement
    if "arguments" in statement:
        code = code.replace("async (medplum, event) =>", "async function (medplum, event)")
    assert rules(code) == []


WHOLE = {
    "exports.handler = async () => 1": [("last-statement", 1)],
    "var a = 1; exports.handler = () => a\n// the end\n": [("last-statement", 1)],
    "exports.handler = main;\nfunction main() {}\n": [],
    "export const handler = 1;\n": [("esm", 1)],
    "import pg from 'pg';\nexports.handler = () => pg;\n": [("esm", 1)],
    "exports.handler = () => import.meta.url;\n": [("esm", 1)],
    "exports.handler = () => 1;\nawait exports.handler();\n": [("top-level-await", 2)],
    "exports.handler = (): number => 1;\n": [("syntax", 1)],
    "#!/usr/bin/env node\nexports.handler = () => 1;\n": [("syntax", 1)],
    "const handler = 1;\n": [("handler", None)],
    "exports.handler = 'no function';\n": [("handler", None)],
    "module.exports = { handler: async () => 1 };\n": [("handler", None)],
    "module.exports = { handler() {} };\nObject.assign(exports, module.exports);\n": [],
    "const a = 1;\nexports.handler = () => a;\nthrow new Error('no');\n": [("load", 3)],
    "const exports = {};\nexports.handler = () => 1;\n": [("load", 1)],
    "exports.handler = () => 1;\nfor (;;) {}\n": [("load", None)],
    "class Db extends require('pg').Client {}\nexports.handler = () => Db;\n": [],
    "const { Redis } = require('ioredis');\nexports.handler = () => Redis.Cluster.x.y();\n": [],
}


@pytest.mark.parametrize(("code", "expected"), WHOLE.items())
def test_a_bundle_as_a_whole_must_load(code: str, expected: list[tuple[str, int | None]]) -> None:
    """What keeps the server from finding the handler is told by its own rule."""
    assert rules(code) == expected


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("module.exports = { handler() {} };", "end with Object.assign(exports, module.exports);"),
        ("const a = 1;", "it exports no function `handler`"),
        ("throw new TypeError('no luck');", "it throws when the server loads it: no luck"),
        ("throw 'text';", "it throws when the server loads it: text"),
        ("throw null;", "it throws when the server loads it: null"),
        ("null.x;", "Cannot read properties of null"),
        ("for (;;) {}", "loading it takes longer than 5000 ms"),
        ("setTimeout(() => 1, 1);", "setTimeout is not defined"),
        ("require('left-pad');", "Cannot find module 'left-pad'"),
    ],
)
def test_a_bundle_that_does_not_load_says_why(code: str, said: str) -> None:
    """The error of the load itself reaches the user."""
    assert any(said in one.message and one.refuses for one in found(code))


def test_a_timer_that_a_bundle_leaves_behind_does_not_keep_the_lint_waiting() -> None:
    """Loading ends when the code at the top level has ended."""
    code = "require('node:timers').setInterval(() => 1, 1000);\n" + OK % "return 1;"
    assert rules(code) == []


def test_loading_does_not_see_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of the run, with its secrets, is not handed to the bundle's code."""
    monkeypatch.setenv("MEDPLUM_PASSWORD", "hunter2")
    code = "const { env } = require('node:process');\nif (env.MEDPLUM_PASSWORD) throw 1;\n"
    assert rules(code + OK % "return 1;") == []


def test_size_is_limited() -> None:
    """Over the limit is refused; what the server's own $deploy would not take is said."""
    bot = OK % "return 1;"
    within = f"// {'x' * (linting.SIZE_LIMIT - len(bot) - 4)}\n"
    assert rules(within + bot) == []
    assert [one.rule for one in found(f"//{within}{bot}")] == ["size"]
    larger = f"// {'x' * linting.DEPLOY_LIMIT}\n{bot}"
    assert [(one.rule, one.severity) for one in found(larger)] == [
        ("size", Severity.ERROR),
        ("deploy-size", Severity.WARNING),
    ]


def test_data_in_long_texts_has_a_limit_of_its_own() -> None:
    """A packed table does not count as code; short texts do."""
    bot = OK % "return 1;"
    table = f'var table = ["{"A" * 999}"];\n' * 1_000
    within = f'var more = "{"A" * (linting.DATA_LIMIT - len(bot) - len(table) - 15)}";\n'
    assert len(table + within + bot) == linting.DATA_LIMIT
    assert [one.rule for one in found(table + within + bot)] == ["deploy-size"]
    assert [one.rule for one in found(f"{table}{within}{bot}\n")] == ["size", "deploy-size"]
    short = f'var text = ["{"A" * 199}"];\n' * 2_000
    assert [one.rule for one in found(short + bot)] == ["size"]


@pytest.mark.parametrize(
    ("comment", "left"),
    [
        ("// medbots-allow time-limit: the server has one", []),
        ("// medbots-allow console: another rule", ["time-limit"]),
        ("// medbots-allow time-limit", ["time-limit"]),
        ("// medbots-allow time-limit:   ", ["time-limit"]),
    ],
)
def test_a_place_can_be_excused_with_a_reason(comment: str, left: list[str]) -> None:
    """A comment excuses one rule at the line below it, and needs a reason."""
    code = OK % f"{comment}\nawait fetch('http://x');"
    assert [one.rule for one in found(code)] == left


def test_findings_name_the_line_of_the_source(tmp_path: Path) -> None:
    """Through the source map a finding points at the TypeScript, also in another module."""
    folder = bot_project.make(
        tmp_path,
        {
            "src/bot.ts": (
                "import { call } from './lib/call.ts';\n"
                "type Unused = { a: string };\n"
                "export async function handler(): Promise<unknown> {\n"
                "  // medbots-allow console: shown in a test\n"
                "  console.error('x');\n"
                "  return call();\n"
                "}\n"
            ),
            "src/lib/call.ts": (
                "interface Answer { ok: boolean }\n\n"
                "export async function call(): Promise<Answer> {\n"
                "  const answer = await fetch('http://x');\n"
                "  return answer as unknown as Answer;\n"
                "}\n"
            ),
        },
    )
    (finding,) = bot_project.examined(folder).findings
    assert (finding.file, finding.line, finding.column) == ("src/lib/call.ts", 4, 24)
    assert str(finding) == (
        "bot: src/lib/call.ts:4:24: fetch without `signal` can wait for ever: the server stops no "
        "awaited call [time-limit]"
    )


def test_refusals_come_before_warnings() -> None:
    """A computed require is a warning, and does not keep a bundle from being deployed."""
    both = found(OK % "require(event.input);\nconsole.error(1);")
    assert [(one.rule, one.refuses) for one in both] == [("console", True), ("require", False)]


def test_without_node_the_lint_says_what_it_could_not_judge(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only what the text shows is refused, and the gap is a warning with its cure."""
    monkeypatch.setattr(tools, "node", lambda environ: None)
    (gap,) = found(OK % "console.error(1);")
    assert (gap.rule, gap.severity) == ("not-linted", Severity.WARNING)
    assert gap.message == "not linted for want of Node: pip install 'medbots[node]'"
    assert [one.rule for one in found("var a = 1")] == ["handler", "last-statement", "not-linted"]
    assert linting.to_record([gap]) == {}


@pytest.mark.parametrize("with_node", [True, False])
def test_in_a_checkout_that_is_not_built_the_lint_says_so(
    monkeypatch: pytest.MonkeyPatch, with_node: bool
) -> None:
    """Nobody changed anything there, and another Node would not help: `make build` does."""
    monkeypatch.setattr(linting, "_program", lambda: None)
    if not with_node:
        monkeypatch.setattr(tools, "node", lambda environ: None)
    (gap,) = found(OK % "console.log(1);")
    assert (gap.rule, gap.severity) == ("not-linted", Severity.WARNING)
    assert gap.message == "not linted: this checkout is not built yet: make build"


def test_findings_are_remembered_for_this_lint_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record gives the same findings back, until the lint is another one."""
    findings = tuple(found(OK % "console.error(1);"))
    record = linting.to_record(findings)
    assert linting.from_record(record) == findings
    monkeypatch.setattr(linting, "SIZE_LIMIT", 1)
    assert linting.from_record(record) is None


def test_every_rule_has_its_line_in_the_reference() -> None:
    """The rules that the reference explains are those that have a case here, none more or less."""
    cases = {*REFUSED.values(), *(rule for told in WHOLE.values() for rule, _ in told)}
    assert cases | {"size", "deploy-size", "not-linted"} == set(linting.RULES)
