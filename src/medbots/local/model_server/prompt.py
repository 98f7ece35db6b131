"""A prompt taken apart: the source blocks that may be cited, and the question.

A block lies between `[S1 KEY] header` and `[/S1 KEY]`, the question between `[Q KEY]` and
`[/Q KEY]`; KEY is random hex digits, the same for all blocks of a message. Only the key of the
first mark counts: what a block's text shows with another key is text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from medbots.local.model_server import chat, schema

_KEY = r"[0-9a-fA-F]{4,64}"
_MARK = re.compile(rf"^\[(?:S[0-9]{{1,4}}|Q) ({_KEY})\]", re.MULTILINE)
_MOST_BRACES = 200
_DATE = re.compile(r"\d{4}(?:-\d{2}){0,2}")


@dataclass(frozen=True, slots=True)
class Source:
    """One block that may be cited."""

    id: str
    """Such as `S1`."""
    header: str
    """Such as `Observation | 2024-02-03 | Hemoglobin A1c`: kind, date, title."""
    text: str

    @property
    def kind(self) -> str:
        """What the header names first."""
        return self.header.split("|")[0].strip()

    @property
    def title(self) -> str:
        """What the header names last; empty where it names one thing only."""
        _, *others = self.header.split("|")
        return others[-1].strip() if others else ""

    @property
    def date(self) -> str | None:
        """The date of the header, as it stands there."""
        parts = (part.strip() for part in self.header.split("|"))
        return next((part for part in parts if _DATE.fullmatch(part[:10])), None)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is shown."""

    sources: tuple[Source, ...]
    question: str
    schema: schema.Schema | None = None
    """The JSON Schema of the answer that the instructions quote."""


def read(messages: Sequence[chat.Message]) -> Prompt:
    """Take apart the last message of the user that has blocks; the last one where none has."""
    asked = [_plain(one.text) for one in messages if one.role == "user"]
    text = next((one for one in reversed(asked) if _MARK.search(one)), (asked or [""])[-1])
    mark = _MARK.search(text)
    instructions = [_plain(one.text) for one in messages if one.role != "assistant"]
    if mark is None:
        return Prompt((), text.strip(), _quoted_schema(instructions))
    blocks = _blocks(mark[1])
    sources = []
    questions = []
    for found in blocks.finditer(text):
        if found["id"] == "Q":
            questions.append(found["text"].strip())
        else:
            header, inside = found["header"].strip(), found["text"].strip("\n")
            sources.append(Source(found["id"], header, inside))
    around = [blocks.sub("\n", one) for one in instructions]
    question = "\n".join(questions) if questions else blocks.sub("\n", text).strip()
    return Prompt(tuple(sources), question, _quoted_schema(around))


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n")


def _blocks(key: str) -> re.Pattern[str]:
    return re.compile(
        rf"^\[(?P<id>S[0-9]{{1,4}}|Q) {key}\](?P<header>[^\n]*)\n(?P<text>.*?)^\[/(?P=id) {key}\]",
        re.MULTILINE | re.DOTALL,
    )


def _quoted_schema(texts: Sequence[str]) -> schema.Schema | None:
    """Return the last schema of an object that the instructions quote."""
    for text in reversed(texts):
        for found in list(re.finditer(r"\{", text))[:_MOST_BRACES]:
            try:
                value, _ = json.JSONDecoder().raw_decode(text, found.start())
                if isinstance(value, dict) and isinstance(value.get("properties"), dict):
                    schema.check(value, "schema")
                    return value
            except (ValueError, RecursionError):
                continue
    return None
