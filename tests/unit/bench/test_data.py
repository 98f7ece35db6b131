"""Synthetic rows: the same for the same seed, with the answers that they say they have."""

from __future__ import annotations

import numpy as np
import pytest

from medbots.bench import data

ROWS = 1_500
CORPUS = data.Corpus(ROWS, queries=6)


def _rows(corpus: data.Corpus) -> list[data.Row]:
    return [row for batch in corpus.batches() for row in batch]


@pytest.fixture(scope="module")
def rows() -> list[data.Row]:
    """The rows of the corpus."""
    return _rows(CORPUS)


def test_the_same_seed_gives_the_same(rows: list[data.Row]) -> None:
    """Twice the same rows; another seed gives others."""
    again = _rows(CORPUS)
    assert [row.resource_id for row in again] == [row.resource_id for row in rows]
    assert all((a.vector == b.vector).all() for a, b in zip(again, rows, strict=True))
    other = _rows(data.Corpus(10, queries=1, seed=21))
    assert not np.allclose(other[0].vector, rows[0].vector)


def test_rows_are_of_length_one_and_their_own(rows: list[data.Row]) -> None:
    """768 dimensions, length 1, no resource twice, as many patients as said."""
    assert len(rows) == ROWS == len({row.resource_id for row in rows})
    assert {row.vector.shape for row in rows} == {(data.DIMENSION,)}
    lengths = [float(np.linalg.norm(row.vector)) for row in rows]
    assert lengths == pytest.approx([1.0] * ROWS, abs=1e-5)
    assert len({row.patient_id for row in rows}) == CORPUS.patients == 7


def test_a_twentieth_is_of_the_rare_type(rows: list[data.Row]) -> None:
    """5 % within what chance allows."""
    share = sum(row.resource_type == data.RARE for row in rows) / ROWS
    assert share == pytest.approx(data.RARE_SHARE, abs=0.02)


def test_the_answers_are_the_nearest(rows: list[data.Row]) -> None:
    """By comparing with every row anew: of all, of the rare type, of the patient."""
    for query in CORPUS.asked():
        for answer, among in (
            (query.nearest, rows),
            (query.nearest_rare, [row for row in rows if row.resource_type == data.RARE]),
            (
                query.nearest_of_patient,
                [row for row in rows if row.patient_id == query.patient_id],
            ),
        ):
            nearest = sorted(among, key=lambda row: -float(row.vector @ query.vector))
            assert answer == {row.resource_id for row in nearest[: data.NEIGHBOURS]}
            assert len(answer) == data.NEIGHBOURS
