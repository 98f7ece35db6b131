"""The lint of a bundle: what would fail on the server, and only there.

With Node it judges the syntax tree and loads the code in the shape of the server's vm context;
without, it can say little more than what the text shows, and says so.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from medbots import assets, errors, model
from medbots.bundler import process, shape, sourcemap, tools

SIZE_LIMIT = 400_000
"""Bytes of code. Every run reads and compiles all of it."""
DATA_LIMIT = 1_200_000
"""Bytes of code and data. A long text, such as a packed table, is read and hardly compiled."""
DEPLOY_LIMIT = 1_000_000
"""Bytes of JSON that the server's `$deploy` takes; medbots itself uploads a Binary."""

RULES = {
    "console": "Only `console.log` exists; any other method fails the run.",
    "deploy-size": "Warning: too large for the server's own `$deploy` (1 MB of JSON).",
    "dynamic-import": "`import()` fails in the server's vm context.",
    "esm": "The server runs CommonJS: `import`, `export` and `import.meta` are syntax errors.",
    "handler": "The code sets no function `exports.handler`; `module.exports = …` hides it.",
    "last-statement": "Without a final `;` the server's own code calls the last value.",
    "load": "The code throws, or takes too long, while the server loads it.",
    "missing-global": "A global that Node has and the server lacks, such as `setTimeout`.",
    "not-linted": "Warning: nothing could judge it: there is no Node, or a checkout is not built.",
    "pool": "A connection pool a run leaks connections; use one `Client`.",
    "process": "`process` is the server's own, and later releases have none.",
    "require": "`require` of a module that the server lacks; a warning where the name is computed.",
    "size": f"More than {SIZE_LIMIT:,} bytes of code, which every run compiles, or more than "
    f"{DATA_LIMIT:,} with the data in long texts.",
    "syntax": "The server cannot read it, for instance TypeScript in a `.js` file.",
    "time-limit": "An awaited call that can wait for ever: `fetch` without `signal`, `pg` without "
    "`query_timeout` and `connectionTimeoutMillis`, `axios` without `timeout` or `signal`, "
    "`ioredis` without `commandTimeout` and `connectTimeout`.",
    "top-level-await": "`await` outside a function is a syntax error in CommonJS.",
}
"""What each rule refuses, for its page in the reference."""

_SECONDS = 30.0
_LOAD_MILLISECONDS = 5_000
_SCRIPTS = Path(__file__).with_name("javascript")
_NEEDED_BY_NODE = ("SYSTEMROOT",)
"""All of the environment that a bundle's code gets to see while it is loaded: Windows needs it."""
_DATA = re.compile(rb'"[^"\\\r\n]{256,}"')
"""A text that is data: too long for code, and without escapes."""
_ALLOW = re.compile(r"//\s*medbots-allow\s+([\w-]+):\s*\S")


class Severity(enum.StrEnum):
    """Whether a finding keeps a bundle from being deployed."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the lint saw."""

    key: str
    """Of the bot."""
    rule: str
    severity: Severity
    message: str
    file: str
    """The source, or the bundle where the source is not known."""
    line: int | None = None
    """1-based."""
    column: int | None = None
    """1-based."""

    @property
    def refuses(self) -> bool:
        """Whether the bundle must not be deployed."""
        return self.severity is Severity.ERROR

    def __str__(self) -> str:
        place = "" if self.line is None else f":{self.line}:{self.column}"
        return f"{self.key}: {self.file}{place}: {self.message} [{self.rule}]"


def lint(bundle: model.Bundle, environ: Mapping[str, str]) -> list[Finding]:
    """Return what is wrong with a bundle, refusals first.

    A line of a source that says `// medbots-allow RULE: reason`, or the line above the place, is
    taken at its word for the rules that judge one place.
    """
    node, program = tools.node(environ), _program()
    found = list(_size(bundle))
    if node is None or program is None:
        found += _without_node(bundle)
    else:
        placed = [_place(one, bundle) for one in _with_node(bundle, node, program, environ)]
        found += [one for one in placed if not _allowed(one, bundle)]
    return sorted(found, key=lambda one: (one.severity, one.file, one.line or 0, one.rule))


def linter() -> str:
    """Return a digest of everything here that shapes a judgement by Node."""
    parts = [(_SCRIPTS / name).read_bytes() for name in sorted(_script_names())]
    parts.append(repr((shape.GLOBALS, shape.MODULES, shape.CURES, SIZE_LIMIT, DATA_LIMIT)).encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def to_record(findings: Iterable[Finding]) -> dict[str, Any]:
    """Return findings as JSON, to be kept with the bundle; empty when Node did not judge it."""
    all_found = list(findings)
    if any(one.rule == "not-linted" for one in all_found):
        return {}
    return {"linter": linter(), "findings": [asdict(one) for one in all_found]}


def from_record(record: Mapping[str, Any]) -> tuple[Finding, ...] | None:
    """Return kept findings; None where this linter did not make them."""
    if record.get("linter") != linter():
        return None
    kept = record.get("findings", ())
    return tuple(Finding(**{**one, "severity": Severity(one["severity"])}) for one in kept)


def _script_names() -> Iterator[str]:
    return (file.name for file in _SCRIPTS.glob("*.mjs"))


@functools.cache
def _program() -> Path | None:
    """Return the built lint program, which holds its parser."""
    program = assets.bot_templates() / "dist" / "lint.mjs"
    return program if program.is_file() else None


def _finding(bundle: model.Bundle, rule: str, message: str, **more: Any) -> Finding:
    severity = more.pop("severity", Severity.ERROR)
    return Finding(bundle.key, rule, Severity(severity), message, f"{bundle.key}.js", **more)


def _size(bundle: model.Bundle) -> Iterator[Finding]:
    whole = len(bundle.code)
    code = whole - sum(len(data[0]) for data in _DATA.finditer(bundle.code))
    if code > SIZE_LIMIT:
        said = f"{code:,} bytes of code; the limit is {SIZE_LIMIT:,}: every run compiles all of it"
        yield _finding(bundle, "size", said)
    elif whole > DATA_LIMIT:
        said = f"{whole:,} bytes with its data; the limit is {DATA_LIMIT:,}: every run reads them"
        yield _finding(bundle, "size", said)
    if len(json.dumps({"code": bundle.code.decode("utf-8", "replace")})) > DEPLOY_LIMIT:
        said = "too large for the server's own $deploy, so nobody can mend it there"
        yield _finding(bundle, "deploy-size", said, severity=Severity.WARNING)


def _without_node(bundle: model.Bundle) -> Iterator[Finding]:
    text = bundle.code.decode("utf-8", "replace")
    if not re.search(r"\bhandler\b", text):
        yield _finding(bundle, "handler", "it exports no function `handler`")
    if not text.rstrip().endswith((";", "}")):
        yield _finding(bundle, "last-statement", "the last statement must end with `;`")
    if _program() is None:
        # Only in a checkout: an installed medbots brings the program, and its bundles' judgement.
        said = "not linted: this checkout is not built yet: make build"
    else:
        said = "not linted for want of Node: pip install 'medbots[node]'"
    yield _finding(bundle, "not-linted", said, severity=Severity.WARNING)


def _with_node(
    bundle: model.Bundle, node: Path, program: Path, environ: Mapping[str, str]
) -> list[Finding]:
    given: dict[str, Any] = {
        "code": bundle.code.decode("utf-8", "replace"),
        "globals": shape.GLOBALS,
        "modules": shape.MODULES,
    }
    judged = _answer(node, program, {**given, "cures": shape.CURES}, environ)
    found = [_from_answer(bundle, one) for one in judged]
    if any(one.rule in ("syntax", "esm", "top-level-await", "last-statement") for one in found):
        return found
    given["milliseconds"] = _LOAD_MILLISECONDS
    needed = {name: environ[name] for name in _NEEDED_BY_NODE if name in environ}
    loaded = _answer(node, _SCRIPTS / "load.mjs", given, needed)
    return [*found, _from_answer(bundle, {"severity": "error", **loaded})] if loaded else found


def _from_answer(bundle: model.Bundle, one: Mapping[str, Any]) -> Finding:
    column = one.get("column")
    return _finding(
        bundle,
        one["rule"],
        one["message"],
        severity=one["severity"],
        line=one.get("line"),
        column=None if column is None else column + 1,
    )


def _answer(
    node: Path, script: Path, document: Mapping[str, Any], environ: Mapping[str, str]
) -> Any:
    """Return what a script answers to a document."""
    done = process.run(
        [str(node), str(script)],
        folder=script.parent,
        seconds=_SECONDS,
        environ=environ,
        stdin=json.dumps(document).encode(),
    )
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        last = done.stderr.strip().splitlines()[-1:] or [f"it ended with {done.code}"]
        raise errors.BundleError(f"{_in_words(script)} gave no answer: {last[0]}") from error


def _in_words(script: Path) -> str:
    """Return what a script is, in words."""
    return "loading the bundle" if script.name == "load.mjs" else "the lint"


@functools.lru_cache(maxsize=64)
def _map(content: bytes | None) -> sourcemap.SourceMap | None:
    try:
        return sourcemap.SourceMap(content) if content else None
    except ValueError:
        return None


def _place(finding: Finding, bundle: model.Bundle) -> Finding:
    """Move a finding from the bundle to the source it came from."""
    source_map = _map(bundle.source_map)
    if source_map is None or finding.line is None or finding.column is None:
        return finding
    place = source_map.place(finding.line, finding.column - 1)
    if place is None:
        return finding
    return replace(finding, file=place.source, line=place.line, column=place.column + 1)


def _allowed(finding: Finding, bundle: model.Bundle) -> bool:
    if finding.line is None:
        return False
    source_map = _map(bundle.source_map)
    lines = source_map.lines(finding.file) if source_map else []
    if not lines:
        lines = bundle.code.decode("utf-8", "replace").splitlines()
    near = lines[max(finding.line - 2, 0) : finding.line]
    allowed = {match.group(1) for line in near for match in _ALLOW.finditer(line)}
    return finding.rule in allowed
