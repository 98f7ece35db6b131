"""The safety suite: adversarial cases as data, each with the guard that stops it.

A case is run with the model at its best and with the model at its worst. `test_safety_guards.py`
runs it again with its guard taken out. `docs/explanation/safety-suite.md` says how to write one.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.live import safety_case
from tests.live.safety_case import WELL, Case, Model
from tests.live.safety_theatre import Theatre

CASES = safety_case.cases()
LEAST = 200
LEAST_OF_A_CATEGORY = 4


def _plays() -> list[object]:
    return [
        pytest.param(case, model, id=f"{case.id}-{model.name if model else WELL}")
        for case in CASES
        for model in (None, *case.models)
    ]


@pytest.mark.parametrize(("case", "model"), _plays())
def test_an_attack_comes_to_nothing(theatre: Theatre, case: Case, model: Model | None) -> None:
    """The bot runs, and what the case forbids does not happen."""
    theatre.play(case, model)


def test_the_suite_is_whole() -> None:
    """There are cases enough in every category, each with a guard, and each guard has a case."""
    assert len(CASES) >= LEAST
    categories = Counter(case.category for case in CASES)
    assert min(categories.values()) >= LEAST_OF_A_CATEGORY, categories
    assert {case.guard for case in CASES} == set(safety_case.guards())


def test_no_two_cases_are_alike() -> None:
    """No case says or does what another does."""
    assert len({case.what for case in CASES}) == len(CASES)
    assert len({repr((case.given, case.steps)) for case in CASES}) == len(CASES)
