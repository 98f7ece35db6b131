"""An answer from a record: its sentences with marks, and what the marks mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from medbots.cli import render

_LONGEST = 160

_REFUSALS = {
    "NO_CONTEXT": "nothing was found that you may read",
    "NO_QUESTION": "it is no question, but an order to the model",
    "NOT_DOCUMENTED": "the model found none in the {sources}",
    "NOT_SUPPORTED": "what the model said is not borne out by the {sources}",
}
"""Why there is no answer, by the bot's codes; none claims to know the whole record."""


def answer(found: Mapping[str, Any] | None) -> None:
    """Print an answer or its refusal; nothing where it has been printed already."""
    if found is None:
        return
    for line in _lines(found):
        render.line(render.visible(line))


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    if found.get("refused") or not found.get("answer"):
        code = str(found.get("refusalReason") or "")
        why = _REFUSALS.get(code, code or "the bot gives no reason")
        yield f"No answer: {why.replace('{sources}', _searched(found))}."
        yield f"by {found.get('modelUsed') or 'the bot itself: no model was asked'}"
        return
    citations = [one for one in found.get("citations") or () if _has_source(one)]
    numbers = _numbers(citations)
    yield _marked(str(found["answer"]), citations, numbers)
    yield ""
    for source, number in numbers.items():
        yield from _source(number, source, citations)
    if numbers:
        yield ""
    confidence = found.get("confidence")
    sure = f"{confidence:.2f}" if isinstance(confidence, int | float) else "unknown"
    yield f"confidence {sure} (uncalibrated), by {found.get('modelUsed') or 'an unnamed model'}"


def _searched(found: Mapping[str, Any]) -> str:
    """Return how many sources the model was shown."""
    used = found.get("contextUsed")
    if not isinstance(used, list) or not used:
        return "sources that were searched"
    if len(used) == 1:
        return "one source that was searched"
    return f"{len(used)} sources that were searched"


def _has_source(citation: Any) -> bool:
    return isinstance(citation, Mapping) and bool(citation.get("source"))


def _numbers(citations: list[Mapping[str, Any]]) -> dict[str, int]:
    """Return a number for each source, in the order of the answer."""
    sources = dict.fromkeys(str(one.get("source")) for one in citations)
    return {source: number for number, source in enumerate(sources, 1)}


def _marked(text: str, citations: list[Mapping[str, Any]], numbers: Mapping[str, int]) -> str:
    """Return the answer with the numbers of its sources after each sentence that rests on them."""
    marks: dict[str, list[int]] = {}
    for one in citations:
        number = numbers[str(one.get("source"))]
        of_sentence = marks.setdefault(str(one.get("sentence") or ""), [])
        if number not in of_sentence:
            of_sentence.append(number)
    done, rest = "", text
    for sentence, cited in marks.items():
        before, found, after = rest.partition(sentence) if sentence else (rest, "", "")
        if found:
            done += f"{before}{found} {''.join(f'[{number}]' for number in cited)}"
            rest = after
    return done + rest


def _source(number: int, source: str, citations: list[Mapping[str, Any]]) -> Iterator[str]:
    mine = [one for one in citations if str(one.get("source")) == source]
    date = next((str(one["date"]) for one in mine if one.get("date")), "undated")
    yield f"[{number}] {source}  {date}"
    for quote in dict.fromkeys(" ".join(str(one.get("text") or "").split()) for one in mine):
        if quote:
            short = quote if len(quote) <= _LONGEST else f"{quote[: _LONGEST - 1]}…"
            yield f"    {short}"
