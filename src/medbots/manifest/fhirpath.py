"""FHIRPath criteria of a subscription: can the server parse them, and could they ever hold?

The grammar is the server's (fhirpath/parse.ts of @medplum/core): an error there is logged on the
server and the subscription never fires.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from medbots.manifest import fhir, shape

VARIABLES = ("%current", "%previous")
WRITE_VARIABLES = ("%before", "%after")

_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<string>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")
    |(?P<name>[$%]?\w*[A-Za-z_]\w*|`[^`]+`)
    |(?P<number>\d+(?:\.\d+)?)
    |(?P<date>@[\dT][\dTZ:+.\-]*)
    |(?P<empty>\{\})
    |(?P<operator>!=|!~|<=|>=|[-+*/&|=~<>.,()\[\]])""",
    re.VERBOSE | re.DOTALL,
)
_WORDS = frozenset(("and", "or", "xor", "implies", "in", "contains", "is", "as", "div", "mod"))
_BINARY = frozenset(("!=", "!~", "<=", ">=", *"+-*/&|=~<>.")) | _WORDS
_UNARY = frozenset("+-")
_FUNCTIONS = frozenset(
    """abs all allFalse allTrue anyFalse anyTrue as between ceiling combine conformsTo contains
    convertsToBoolean convertsToDate convertsToDateTime convertsToDecimal convertsToInteger
    convertsToQuantity convertsToString convertsToTime count distinct empty endsWith exclude exists
    exp extension first floor getReferenceKey getResourceKey hasValue iif indexOf intersect is
    isDistinct join last length ln log lower matches not now ofType power replace replaceMatches
    resolve round select single skip sqrt startsWith subsetOf substring supersetOf tail take
    timeOfDay toBoolean toChars toDate toDateTime toDecimal toInteger toQuantity toString toTime
    today truncate type union upper where""".split()  # noqa: SIM905 (a hundred quotes say no more)
)


class _SyntaxError(Exception):
    pass


def problems(
    text: str, resource_type: str | None, variables: tuple[str, ...] = VARIABLES
) -> Iterator[str]:
    """Yield what is wrong with an expression.

    Args:
        text: the expression.
        resource_type: the type that the expression is about, if it is known.
        variables: those that are defined, each of which stands for a resource of that type.
    """
    try:
        tokens = list(_tokens(text))
        _Parser(tokens).whole()
    except _SyntaxError as error:
        yield str(error)
        return
    yield from _names(tokens, resource_type, variables)


def warnings(text: str) -> Iterator[str]:
    """Yield what is legal and yet seldom meant."""
    if re.search(r"%previous\.[\w.]+\s*!=", text) and not re.search(
        r"%previous(\.[\w.]+)?\.(exists\(\)\.not\(\)|empty\(\))", text
    ):
        yield (
            "%previous is empty when the resource is created, and a comparison with nothing is "
            "not true: add `%previous.exists().not() or` to let a create fire"
        )


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            what = "text without its closing quote" if text[position] in "'\"`" else text[position]
            message = f"cannot read {what!r} at character {position + 1}"
            if text[position] in "'\"`":
                message = f"{what} at character {position + 1}"
            raise _SyntaxError(message)
        if match.lastgroup != "space":
            yield str(match.lastgroup), match.group(), position
        position = match.end()


class _Parser:
    """Checks the grammar; what an expression means is the server's business."""

    def __init__(self, tokens: list[tuple[str, str, int]]) -> None:
        self.tokens = tokens
        self.at = 0

    def whole(self) -> None:
        self.expression()
        if self.at < len(self.tokens):
            self._fail("unexpected")

    def expression(self) -> None:
        self.operand()
        while self._text() in _BINARY:
            self.at += 1
            self.operand()

    def operand(self) -> None:
        while self._text() in _UNARY:
            self.at += 1
        kind, text = self._kind(), self._text()
        if text == "(":
            self.at += 1
            self.expression()
            self._close("(", ")")
        elif kind in ("string", "number", "date", "empty", "name"):
            self.at += 1
            if kind == "number" and self._kind() == "string":
                self.at += 1  # a quantity, such as 4 'mg'
            if kind == "name" and self._text() == "(":
                self._arguments()
        else:
            self._fail("expected a value before" if text else "expected a value at")
        while self._text() == "[":
            self.at += 1
            self.expression()
            self._close("[", "]")

    def _arguments(self) -> None:
        self.at += 1
        if self._text() != ")":
            self.expression()
            while self._text() == ",":
                self.at += 1
                self.expression()
        self._close("(", ")")

    def _close(self, opened: str, closing: str) -> None:
        if self._text() != closing:
            self._fail(f"`{opened}` is not closed by `{closing}` before")
        self.at += 1

    def _kind(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def _text(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def _fail(self, said: str) -> None:
        if self.at < len(self.tokens):
            _, text, position = self.tokens[self.at]
            raise _SyntaxError(f"{said} {text!r} at character {position + 1}")
        raise _SyntaxError(f"{said} the end")


def _names(
    tokens: list[tuple[str, str, int]], resource_type: str | None, variables: tuple[str, ...]
) -> Iterator[str]:
    padded = [("", "", 0), *tokens, ("", "", 0), ("", "", 0)]
    for (_, before, _), (kind, text, _), (_, after, _), (_, beyond, _) in zip(
        padded, padded[1:], padded[2:], padded[3:], strict=False
    ):
        if kind != "name":
            continue
        if text.startswith("%") and text not in variables:
            known = " and ".join(variables)
            yield f"{text} is not defined, only {known}{shape.nearest(text, variables)}"
        elif text.startswith("$") and text != "$this":
            yield f"{text}: the server knows only $this"
        elif after == "(" and text not in _FUNCTIONS and text not in _WORDS:
            yield f"there is no function {text}(){shape.nearest(text, _FUNCTIONS)}"
        elif text in variables and after == "." and before != ".":
            yield from _element(beyond, resource_type)


def _element(name: str, resource_type: str | None) -> Iterator[str]:
    known = fhir.resource_types().get(resource_type or "")
    plain = name.strip("`")
    if known is None or plain in known.elements or plain in _FUNCTIONS:
        return
    if plain not in (resource_type, "resourceType"):
        yield f"{resource_type} has no element {plain!r}{shape.nearest(plain, known.elements)}"
