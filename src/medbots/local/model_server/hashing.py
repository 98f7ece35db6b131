"""Embeddings by feature hashing: deterministic, offline, and nearer for texts that share words.

Words, pairs of words and the character n-grams inside a word are hashed into a signed vector
(Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", 2009). It knows no
meaning: "hypertension" and "high blood pressure" share nothing here.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence

NAME = "feature-hashing"

_WORD = re.compile(r"[^\W_]+(?:[.,]\d+)*")
_COMMON = 0.4
"""Share of the squared length that every vector has in common. Embedding models that were trained
lie in such a cone too; thresholds of similarity are chosen for them."""
_PAIR_WEIGHT = 0.5
_GRAM_WEIGHT = 0.7
"""Length of all n-grams of one word together, where the word itself has 1."""
_GRAM_LENGTHS = (3, 4, 5)
_NUMBER_WEIGHT = 0.2
_FRAME_WEIGHT = 0.1
FRAME = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be but by for from has have he her his in is it its no not of on or"
        " she that the their there this to was were which who with"
        # What stands in nearly every record, and tells none from another.
        " patient status final active confirmed clinical verification category date value unit"
        " interpretation reference range loinc snomed rxnorm icd cm code result record onset taken"
        " problem list item laboratory document description section search_query search_document",
    )
)
"""Words that carry little: they hold a text together."""

Feature = tuple[int, float]
"""A 32-bit hash and a weight whose sign comes from the hash."""


def tokens(text: str) -> list[str]:
    """Return the words and numbers of a text, in lower case."""
    return _WORD.findall(text.lower())


def embed(text: str, dimension: int) -> list[float]:
    """Return a vector of length 1 with `dimension` components (at least 2)."""
    words = tokens(text)
    vector = [0.0] * dimension
    hashed = dimension - 1
    for word, count in Counter(words).items():
        weight = _weight(word) * (1 + math.log(count))
        for code, value in _word_features(word):
            vector[code % hashed] += weight * value
    for pair in _pairs(words):
        code = zlib.crc32(pair.encode())
        vector[code % hashed] += _signed(code, _PAIR_WEIGHT)
    length = math.sqrt(sum(value * value for value in vector))
    if length:
        scale = math.sqrt(1 - _COMMON) / length
        vector = [value * scale for value in vector]
        vector[hashed] = math.sqrt(_COMMON)
    else:
        vector[hashed] = 1.0
    return vector


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the cosine of the angle between two vectors of length 1."""
    return sum(a * b for a, b in zip(one, other, strict=True))


@functools.lru_cache(maxsize=20_000)
def _word_features(word: str) -> tuple[Feature, ...]:
    code = zlib.crc32(f"w:{word}".encode())
    features = [(code, _signed(code, 1.0))]
    grams = list(_grams(word))
    if grams:
        weight = _GRAM_WEIGHT / math.sqrt(len(grams))
        codes = (zlib.crc32(f"g:{gram}".encode()) for gram in grams)
        features += [(code, _signed(code, weight)) for code in codes]
    return tuple(features)


def _grams(word: str) -> Iterator[str]:
    if len(word) < min(_GRAM_LENGTHS) or word[0].isdigit():
        return
    marked = f"<{word}>"
    for length in _GRAM_LENGTHS:
        for start in range(len(marked) - length + 1):
            yield marked[start : start + length]


def _weight(word: str) -> float:
    if word in FRAME:
        return _FRAME_WEIGHT
    return _NUMBER_WEIGHT if word[0].isdigit() else 1.0


def _pairs(words: Sequence[str]) -> Iterator[str]:
    meant = [word for word in words if word not in FRAME and not word[0].isdigit()]
    for one, other in itertools.pairwise(meant):
        yield f"p:{one} {other}"


def _signed(code: int, weight: float) -> float:
    return weight if code >> 31 else -weight
