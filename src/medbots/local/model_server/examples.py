"""Strings that match a regular expression, made from the expression itself.

It reads what patterns of JSON Schemas use: literals, classes, groups, alternatives, repetitions and
anchors. Assertions are read and not obeyed, so whoever takes an example tries it first.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_TRIES = 400
_SPREAD = 40
_FAR = 64
_ANY = string.ascii_uppercase + string.digits + string.ascii_lowercase + " -."
_CLASSES = {
    "d": string.digits,
    "w": string.ascii_uppercase + string.digits + string.ascii_lowercase + "_",
    "s": " ",
}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
_CODE_LENGTHS = {"x": 2, "u": 4}


@dataclass(slots=True)
class _Dice:
    """Decides what a pattern leaves open."""

    random: random.Random
    spread: int
    """How often more than necessary something is repeated, at most."""


_Part = Callable[[_Dice], str]


def of(pattern: str) -> Iterator[str]:
    """Give strings that the pattern was made into, always the same ones; the short ones first."""
    make = _Reader(pattern).alternatives()
    for seed in range(_TRIES):
        yield make(_Dice(random.Random(seed), seed % _SPREAD))  # noqa: S311  (no secrets)


@dataclass(slots=True)
class _Reader:
    pattern: str
    at: int = 0

    def alternatives(self) -> _Part:
        branches = [self._sequence()]
        while self._takes("|"):
            branches.append(self._sequence())
        return lambda dice: dice.random.choice(branches)(dice)

    def _sequence(self) -> _Part:
        parts: list[_Part] = []
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            parts.append(self._repeated(self._atom()))
        return lambda dice: "".join(part(dice) for part in parts)

    def _atom(self) -> _Part:
        sign = self._next()
        if sign == "(":
            return self._group()
        if sign == "[":
            return _one_of(self._class())
        if sign == ".":
            return _one_of(_ANY)
        if sign in "^$":
            return _nothing
        if sign == "\\":
            return self._escape()
        return _one_of(sign)

    def _group(self) -> _Part:
        asserts = False
        if self._takes("?"):
            named = self.pattern[self.at :].lstrip("P").startswith("<")
            behind = self.pattern[self.at : self.at + 2] in ("<=", "<!")
            if self.pattern[self.at] in "=!" or behind:
                self.at += 2 if behind else 1
                asserts = True
            elif named:
                self.at = self.pattern.index(">", self.at) + 1
            else:
                self.at += 1
        inside = self.alternatives()
        self._takes(")")
        return _nothing if asserts else inside

    def _escape(self) -> _Part:
        sign = self._next()
        if sign in "bB" or (sign.isdigit() and sign != "0"):
            return _nothing
        return _one_of(self._meant(sign))

    def _meant(self, sign: str) -> str:
        """Return the characters that may stand where an escape stands."""
        if sign in _CODE_LENGTHS:
            end = self.at + _CODE_LENGTHS[sign]
            code, self.at = self.pattern[self.at : end], end
            return chr(int(code, 16))
        if sign.lower() in _CLASSES:
            known = _CLASSES[sign.lower()]
            return known if sign.islower() else _all_but(known)
        return _CONTROLS.get(sign, sign)

    def _class(self) -> str:
        negated = self._takes("^")
        found: list[str] = []
        first = True
        while first or self.pattern[self.at] != "]":
            first = False
            low = self._member()
            if len(low) == 1 and self.pattern[self.at] == "-" and self.pattern[self.at + 1] != "]":
                self.at += 1
                high = self._member()
                found += [chr(code) for code in range(ord(low), min(ord(high), ord(low) + 200) + 1)]
            else:
                found += low
        self.at += 1
        return _all_but("".join(found)) if negated else "".join(found)

    def _member(self) -> str:
        sign = self._next()
        return self._meant(self._next()) if sign == "\\" else sign

    def _repeated(self, part: _Part) -> _Part:
        bounds = self._bounds()
        if bounds is None:
            return part
        self._takes("?")
        low, high = bounds

        def repeat(dice: _Dice) -> str:
            count = dice.random.randint(low, min(high, low + dice.spread))
            return "".join(part(dice) for _ in range(count))

        return repeat

    def _bounds(self) -> tuple[int, int] | None:
        for sign, bounds in (("*", (0, _FAR)), ("+", (1, _FAR)), ("?", (0, 1))):
            if self._takes(sign):
                return bounds
        end = self.pattern.find("}", self.at)
        if not self.pattern.startswith("{", self.at) or end < 0:
            return None
        low, comma, high = self.pattern[self.at + 1 : end].partition(",")
        if not low.isdigit() or not (high.isdigit() or high == ""):
            return None
        self.at = end + 1
        return int(low), int(high) if high else int(low) + _FAR if comma else int(low)

    def _takes(self, sign: str) -> bool:
        if self.pattern.startswith(sign, self.at):
            self.at += len(sign)
            return True
        return False

    def _next(self) -> str:
        self.at += 1
        return self.pattern[self.at - 1]


def _one_of(characters: str) -> _Part:
    return lambda dice: dice.random.choice(characters) if characters else ""


def _all_but(characters: str) -> str:
    return "".join(one for one in string.printable[:95] if one not in characters)


def _nothing(_: _Dice) -> str:
    return ""
