"""The sources cut into passages, each of which can stand in an answer by itself.

A passage is a sentence, a line, or a few lines of the form `Label: value` that belong to one
record. Its words are the source's own, to the letter.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from medbots.local.model_server import prompt, roles

_LONGEST_RECORD = 300
"""Characters of `Label: value` lines that stay together."""
_PARAGRAPH = re.compile(r"(?:[^\n]*\S[^\n]*(?:\n|$))+")
_LABELLED = re.compile(r"(?:[-*•]\s+)?(?P<label>[^\W\d_][^:.!?\n]{0,40}):\s+(?=\S)")
_HEADING = re.compile(r"#+\s*(?P<marked>.+)|(?P<ended>[^\W\d_][^:.!?\n]{0,60}):")
_SET_APART = re.compile(r"\[[^\]]*\]")
_CAPITALS = re.compile(r"[A-Z][A-Z /&-]{2,40}")
_END_OF_SENTENCE = re.compile(
    r"(?:(?<=[.!?])|(?<=[.!?][\"')\]]))\s+(?=[\"'(\[]?[^\W_a-z])|(?<=[\u3002\uff01\uff1f])\s*"
)
_GOES_ON = re.compile(
    r"\s*\d{1,2}\.|.*\b(?:dr|mr|mrs|ms|prof|pt|no|vs|approx|e\.g|i\.e|st|fig)\.",
    re.IGNORECASE | re.DOTALL,
)
"""What ends with a full stop and not with a sentence: the number of a list, an abbreviation."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of one source."""

    source: prompt.Source
    raw: str
    """As it stands in the source, line breaks and all."""
    label: str = ""
    """What it stands under: a heading, or the label of its line."""

    @property
    def text(self) -> str:
        """The passage in one line."""
        wrapped = re.sub(r"\s*\n\s*(?=[^\W\dA-Z_])", " ", self.raw)
        return " ".join(re.sub(r"[.;,]?\s*\n\s*", "; ", wrapped).split())

    def stands_under(self, section: str) -> bool:
        """Return whether its label, or its source's title, names a section of the answer."""
        return any(_names(label, section) for label in (self.label, self.source.title))


def split(source: prompt.Source, sections: Collection[str] = ()) -> list[Passage]:
    """Return the passages of a source, in their order.

    Args:
        source: The source.
        sections: Names of the answer's parts; a line whose label is one of them stands alone.
    """
    found = []
    heading = ""
    for paragraph in _PARAGRAPH.finditer(source.text):
        runs: list[_Run] = []
        for line in re.finditer(r"[^\n]*\S[^\n]*", paragraph[0]):
            start = paragraph.start() + line.start()
            named = _heading(line[0].strip(), sections)
            if named is not None:
                heading = named or heading
                runs.append(_Run(start, start, closed=True))
                continue
            run = _run(source.text, start, start + len(line[0]), heading, sections)
            if runs and _belongs(runs[-1], run, source.text):
                runs[-1].end = run.end
            else:
                runs.append(run)
        found += [one for run in runs for one in _passages(source, run)]
    return found


@dataclass(slots=True)
class _Run:
    """Lines that belong together, from `start` to `end` of the text."""

    start: int
    end: int
    label: str = ""
    labelled: bool = False
    closed: bool = False


def _heading(line: str, sections: Collection[str]) -> str | None:
    """Return the heading that a line is; empty for a line that only sets apart; None for text."""
    if _SET_APART.fullmatch(line):
        return ""
    if line.lower() in sections:
        return line
    found = _HEADING.fullmatch(line)
    if found:
        return str(found["marked"] or found["ended"]).strip()
    return line.title() if _CAPITALS.fullmatch(line) and " " in line.strip() else None


def _run(text: str, start: int, end: int, heading: str, sections: Collection[str]) -> _Run:
    start += len(text[start:end]) - len(text[start:end].lstrip())
    found = _LABELLED.match(text, start, end)
    if found is None:
        return _Run(start, end, heading)
    label = found["label"].strip()
    if any(_names(label, section) for section in sections):
        return _Run(found.end(), end, label)
    several = _END_OF_SENTENCE.search(text, found.end(), end) is not None
    return _Run(start, end, heading or label, labelled=True, closed=several)


def _belongs(run: _Run, line: _Run, text: str) -> bool:
    """Return whether a line goes on with what came before it."""
    if run.start == run.end:
        return False
    if text[line.start].islower():
        return True
    together = line.end - run.start <= _LONGEST_RECORD
    return run.labelled and line.labelled and together and not (run.closed or line.closed)


def _passages(source: prompt.Source, run: _Run) -> Iterator[Passage]:
    start = run.start
    if not run.labelled or run.closed:
        for found in _END_OF_SENTENCE.finditer(source.text, run.start, run.end):
            if _GOES_ON.fullmatch(source.text, start, found.start()):
                continue
            yield from _passage(source, start, found.start(), run.label)
            start = found.end()
    yield from _passage(source, start, run.end, run.label)


def _passage(source: prompt.Source, start: int, end: int, label: str) -> Iterator[Passage]:
    raw = source.text[start:end].strip()
    if any(sign.isalnum() for sign in raw):
        yield Passage(source, raw, label)


def _names(label: str, section: str) -> bool:
    """Return whether a label is a section's name, holds it, or is its first letter."""
    wanted, given = roles.words(section), roles.words(label)
    if not wanted or not given:
        return False
    if len(label.strip()) == 1:
        return wanted[0].startswith(given[0])
    return set(wanted) <= set(given)
