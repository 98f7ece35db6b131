"""Synthetic clinical vectors: clusters of low dimension, the same for the same seed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

DIMENSION = 768
CLUSTERS = 2000
LOCAL = (12, 20)
"""Least and greatest dimension in which the points of one cluster differ."""
ROWS_A_PATIENT = 200
NEIGHBOURS = 10
RARE = "DiagnosticReport"
RARE_SHARE = 0.05
_TYPES = ("Observation", "DocumentReference", "Condition", RARE)
_SHARES = (0.55, 0.25, 0.15, RARE_SHARE)
_LENGTHS = {"Observation": 120, "DocumentReference": 1000, "Condition": 150, RARE: 800}
"""Characters of a usual chunk."""
_SPREAD = 0.2
"""Length of a step along one local direction, where the centre has length 1."""
BATCH = 5000
"""Rows that are made, and copied, at a time."""
_NAMES = uuid.UUID("7d444840-9dc0-11d1-b245-5ffdce74fad2")


@dataclass(frozen=True, slots=True)
class Row:
    """One chunk, which is the whole of its resource."""

    number: int
    resource_type: str
    resource_id: uuid.UUID
    patient_id: uuid.UUID
    text: str
    vector: Vectors
    """Shape (768,), length 1."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked, with what an exact search must find."""

    vector: Vectors
    """Shape (768,), length 1; drawn like the rows, and none of them."""
    nearest: frozenset[uuid.UUID]
    """Resources of the ten nearest rows, by 32-bit floats."""
    nearest_rare: frozenset[uuid.UUID]
    """The same among the rows of the rare type."""
    patient_id: uuid.UUID
    nearest_of_patient: frozenset[uuid.UUID]


@dataclass(frozen=True, slots=True)
class Corpus:
    """So many rows, and queries drawn like them."""

    rows: int
    queries: int = 100
    seed: int = 20

    @property
    def patients(self) -> int:
        """How many patients the rows belong to."""
        return max(self.rows // ROWS_A_PATIENT, 1)

    def batches(self) -> Iterator[list[Row]]:
        """Yield the rows in order, some thousands at a time."""
        shapes = _Shapes(self.seed)
        for start in range(0, self.rows, BATCH):
            count = min(BATCH, self.rows - start)
            random = np.random.default_rng((self.seed, 1, start))
            vectors = shapes.draw(random, count)
            kinds = random.choice(len(_TYPES), size=count, p=_SHARES)
            patients = random.integers(self.patients, size=count)
            yield [
                _row(start + place, _TYPES[kinds[place]], int(patients[place]), vectors[place])
                for place in range(count)
            ]

    def asked(self) -> list[Query]:
        """Return the queries with their true answers, by comparing each with every row."""
        random = np.random.default_rng((self.seed, 2))
        vectors = _Shapes(self.seed).draw(random, self.queries)
        patients = [
            patient_id(number) for number in random.integers(self.patients, size=self.queries)
        ]
        every, rare, own = ([_Nearest() for _ in range(self.queries)] for _ in range(3))
        for batch in self.batches():
            near = vectors @ np.stack([row.vector for row in batch]).T
            is_rare = np.array([row.resource_type == RARE for row in batch])
            owner = np.array([row.patient_id.int & 0xFFFFFFFF for row in batch])
            for place, similarities in enumerate(near):
                every[place].add(similarities, batch)
                rare[place].add(np.where(is_rare, similarities, -2), batch)
                mine = owner == (patients[place].int & 0xFFFFFFFF)
                own[place].add(np.where(mine, similarities, -2), batch)
        return [
            Query(vectors[i], every[i].ids(), rare[i].ids(), patients[i], own[i].ids())
            for i in range(self.queries)
        ]


def patient_id(number: int) -> uuid.UUID:
    """Return the id of a patient."""
    return uuid.uuid5(_NAMES, f"patient/{number}")


def _row(number: int, resource_type: str, patient: int, vector: Vectors) -> Row:
    resource = uuid.uuid5(_NAMES, f"row/{number}")
    day = f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}"
    # From two thirds to four thirds of what is usual for the type.
    length = _LENGTHS[resource_type] * (67 + number * 37 % 67) // 100
    text = f"[{resource_type} | {day} | text]\n" + f"Sentence {number}. " * (length // 16)
    return Row(number, resource_type, resource, patient_id(patient), text, vector)


class _Shapes:
    """The clusters: a centre each, and the directions in which its points differ."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng((seed, 0))
        self._centres = _unit(random.standard_normal((CLUSTERS, DIMENSION), dtype=np.float32))
        self._dimensions = random.integers(LOCAL[0], LOCAL[1] + 1, size=CLUSTERS)
        # Each cluster's directions are made anew where they are used: together they are 100 MB.
        self._seeds = random.integers(2**32, size=CLUSTERS)

    def draw(self, random: np.random.Generator, count: int) -> Vectors:
        """Return `count` points, shape (count, 768), of length 1 each."""
        chosen = random.integers(CLUSTERS, size=count)
        drawn = self._centres[chosen]
        for cluster in np.unique(chosen):
            places = np.flatnonzero(chosen == cluster)
            size = int(self._dimensions[cluster])
            own = np.random.default_rng(self._seeds[cluster])
            directions = _unit(own.standard_normal((size, DIMENSION), dtype=np.float32))
            steps = random.standard_normal((len(places), size), dtype=np.float32)
            drawn[places] += _SPREAD * steps @ directions
        return _unit(drawn)


class _Nearest:
    """The ten most similar rows seen so far."""

    def __init__(self) -> None:
        self._found: list[tuple[float, uuid.UUID]] = []

    def add(self, similarities: Vectors, rows: list[Row]) -> None:
        """Look at more rows; a similarity of -2 leaves a row out."""
        best = np.argsort(-similarities)[:NEIGHBOURS]
        found = [
            (float(similarities[place]), rows[place].resource_id)
            for place in best
            if similarities[place] > -2  # noqa: PLR2004
        ]
        self._found = sorted(self._found + found, reverse=True)[:NEIGHBOURS]

    def ids(self) -> frozenset[uuid.UUID]:
        """Return whose they are."""
        return frozenset(one for _, one in self._found)


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = (vectors / lengths).astype(np.float32)
    return unit
