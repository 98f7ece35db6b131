"""Each guard of the bots taken away, and the attacks that it stops played again.

A case that holds without its guard shows nothing, so each has to fail. Each guard costs two
deployments: `make test` takes away every eighth, which shows that the machinery works, and
`make test-full` all of them. A guard that has moved in the sources is found by `make test` anyway.
"""

from __future__ import annotations

import pytest

from tests.live import safety_case
from tests.live.safety_case import Guard
from tests.live.safety_theatre import Theatre

CASES = safety_case.cases()
GUARDS = safety_case.guards()
SAMPLED = 8


def _guards() -> list[object]:
    """Return every guard; those that are not sampled belong to the full run."""
    return [
        pytest.param(guard, marks=[pytest.mark.full] if index % SAMPLED else [], id=guard.name)
        for index, guard in enumerate(GUARDS.values())
    ]


@pytest.mark.parametrize("guard", _guards())
def test_without_its_guard_the_attack_succeeds(theatre: Theatre, guard: Guard) -> None:
    """With a guard taken out of the bots, each case that it stops fails.

    Where a model takes part it fails with a hostile one: what a polite model does is no proof.
    """
    with theatre.without(guard):
        for case in (case for case in CASES if case.guard == guard.name):
            broken = any(theatre.breaks(case, model) for model in case.models or (None,))
            assert broken, f"{case.id} holds without {guard.name}, so it does not test it"
