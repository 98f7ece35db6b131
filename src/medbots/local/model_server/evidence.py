"""What of the sources is near the question, and whether that is enough to answer it.

A passage is near when it holds enough of the question's words, in whatever form; the nearest come
first. No meaning is known here: a question in other words than the record's finds nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from medbots.local.model_server import hashing, passages, prompt, roles

_DIMENSION = 256
_ENOUGH = 3
"""Words of a long question that suffice."""
_SHARE_OF_WORD = 0.6
"""Of the longer one, from its beginning, in which two forms of a word agree."""
_SHORTEST_STEM = 4
_ASKING = frozenset(
    re.findall(
        r"\w+",
        "what which when where why how did do does can could should would will please tell me"
        " about give show describe summarise summarize explain any ever much many latest last"
        " recent recently current currently now first over time change changed changes trend"
        " trends history taking take takes been being you your i we they it s there level levels"
        " results most than them then these those if so us question answer write propose suggest"
        " note from using only sources source evidence documented chief complaint dose doses"
        " dosage begin began begun start started stop stopped since",
    )
)
"""Words that say how to answer, and not about what."""
_INTERROGATIVES = ("?", "\N{FULLWIDTH QUESTION MARK}", "\N{ARABIC QUESTION MARK}")


@dataclass(frozen=True, slots=True)
class Evidence:
    """The passages, and those of them that an answer may stand on."""

    everything: tuple[passages.Passage, ...]
    near: tuple[passages.Passage, ...]
    """The nearest first."""
    usable: tuple[passages.Passage, ...]
    """What may be searched for codes and headings: for a task everything, else what is near."""
    nearness: float
    """Share of the question's words that the nearest passage holds, from 0 to 1."""
    silence: str
    """What is said where nothing is found."""

    def in_order(self, chosen: Sequence[passages.Passage]) -> tuple[passages.Passage, ...]:
        """Return passages as they follow one another in the sources."""
        return tuple(one for one in dict.fromkeys(self.everything) if one in chosen)

    @property
    def text(self) -> str:
        """All sources together."""
        sources = dict.fromkeys(one.source for one in self.everything)
        return "\n".join(f"{one.header}\n{one.text}" for one in sources)


def gather(
    asked: prompt.Prompt, sections: Collection[str], *, strict: bool, eager: bool = False
) -> Evidence:
    """Return the evidence for a question or a task.

    Args:
        asked: The prompt.
        sections: Names of the parts of the answer.
        strict: Whether only what is near is evidence. For a question it always is; a task takes
            all passages, for "write a note" shares no word with a record.
        eager: Whether all passages are evidence where none is near.
    """
    everything = [one for source in asked.sources for one in passages.split(source, sections)]
    words = _meaning(asked.question)
    held = [_held(words, one) for one in everything]
    order = _by_nearness(asked.question, everything, held)
    needed = _needed(len(words))
    near = [everything[at] for at in order if held[at] >= needed]
    # A document of several parts is a task, whatever somebody's words for it ask.
    is_question = not sections and any(sign in asked.question for sign in _INTERROGATIVES)
    is_task = not (strict or is_question)
    if is_task or (eager and not near):
        near = [everything[at] for at in order]
    demanding = not (is_task or eager)
    usable = [one for at, one in enumerate(everything) if not demanding or held[at] >= needed]
    nearness = max(held) / len(words) if near and words else 0.0
    silence = _NOTHING_FOUND if everything else _NO_SOURCES
    return Evidence(tuple(everything), tuple(near), tuple(usable), nearness, silence)


def only(chosen: Sequence[passages.Passage]) -> Evidence:
    """Return the evidence of a call that knows these passages and nothing else."""
    return Evidence(tuple(chosen), tuple(chosen), tuple(chosen), 1.0, _NOTHING_FOUND)


def of_nothing(silence: str) -> Evidence:
    """Return the evidence of a call that needs none."""
    return Evidence((), (), (), 0.0, silence)


_NOTHING_FOUND = "Not documented in the sources given."
_NO_SOURCES = "No sources were given."


def _meaning(text: str) -> tuple[str, ...]:
    """Return the words that carry a text's meaning, each once."""
    known = hashing.FRAME | _ASKING
    return tuple(dict.fromkeys(word for word in hashing.tokens(text) if word not in known))


def _held(words: Sequence[str], passage: passages.Passage) -> int:
    """Return how many of these words a passage holds, its source's header counted in."""
    source = passage.source
    text = f"{' '.join(roles.words(source.kind))} {source.title} {passage.label} {passage.raw}"
    there = set(hashing.tokens(text))
    return sum(any(_alike(word, other) for other in there) for word in words)


def _needed(count: int) -> int:
    """Return how many of a question's words make a passage near: half, two at least, three at most.

    A question without a word of meaning is near to nothing.
    """
    if count == 0:
        return 1
    return min(_ENOUGH, max(min(count, 2), -(-count // 2)))


def _alike(one: str, other: str) -> bool:
    """Return whether two words are forms of one: allergic and allergy, A1c and HbA1c."""
    if one == other:
        return True
    short, long = sorted((one, other), key=len)
    if any(sign.isdigit() for sign in short):
        return len(short) > 2 and long.endswith(short) and not short.isdigit()  # noqa: PLR2004
    shared = next((at for at, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), None)
    length = len(short) if shared is None else shared
    return length >= max(_SHORTEST_STEM, _SHARE_OF_WORD * len(long))


def _by_nearness(
    question: str, everything: Sequence[passages.Passage], held: Sequence[int]
) -> list[int]:
    """Return the positions of passages: by the words that they hold, then by the cosine."""
    asked = hashing.embed(question, _DIMENSION)
    texts = (f"{one.source.title} {one.raw}" for one in everything)
    cosines = [hashing.cosine(asked, hashing.embed(text, _DIMENSION)) for text in texts]
    return sorted(range(len(everything)), key=lambda at: (-held[at], -cosines[at]))
