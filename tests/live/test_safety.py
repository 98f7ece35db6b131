"""The safety suite: adversarial cases as data, each with the guard that stops it.

A case is run with the model at its best and with the model at its worst. Then it is run again with
its guard taken out of the bots, and has to fail: a case that holds without its guard shows nothing.
`docs/explanation/safety-suite.md` says how to write one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.live import projects, router, safety_case, scratch
from tests.live import stage as stage_module
from tests.live.medplum import Session
from tests.live.projects import Clinic
from tests.live.safety_case import WELL, Case, Guard, Model
from tests.live.safety_model import ModelControl
from tests.live.safety_people import People
from tests.live.safety_theatre import Theatre
from tests.live.target import Target

CASES = safety_case.cases()
GUARDS = safety_case.guards()
LEAST = 1
LEAST_OF_A_CATEGORY = 1


@pytest.fixture(scope="module")
def theatre(
    super_admin_if_any: Session | None,
    home: Clinic,
    target: Target,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Theatre]:
    """A clinic with all bots, and a model server of its own: faults must not meet other tests."""
    folder = tmp_path_factory.mktemp("theatre")
    clinic = home
    with router.running() as url:
        if super_admin_if_any is not None:
            clinic = projects.make_project(super_admin_if_any, "safety", ["bots"])
            projects.lift_quota(super_admin_if_any, clinic.id)
        control = ModelControl(url)
        try:
            with (
                stage_module.of(clinic, target.with_router(url, None), folder) as stage,
                scratch.of(clinic) as made,
            ):
                stage.deploy()
                # A project of our own goes as a whole.
                spare = super_admin_if_any is not None
                yield Theatre(stage, People(made), control, folder, keeps=spare)
        finally:
            control.close()
            if super_admin_if_any is not None:
                projects.remove_project(super_admin_if_any, clinic)


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


@pytest.mark.parametrize("guard", GUARDS.values(), ids=lambda guard: guard.name)
def test_without_its_guard_the_attack_succeeds(theatre: Theatre, guard: Guard) -> None:
    """With a guard taken out of the bots, each case that it stops fails, in some mode."""
    with theatre.without(guard):
        for case in (case for case in CASES if case.guard == guard.name):
            broken = any(theatre.breaks(case, model) for model in (*case.models, None))
            assert broken, f"{case.id} holds without {guard.name}, so it does not test it"


def test_the_suite_is_whole() -> None:
    """There are cases enough in every category, each with a guard, and each guard has a case."""
    assert len(CASES) >= LEAST
    categories = Counter(case.category for case in CASES)
    assert min(categories.values()) >= LEAST_OF_A_CATEGORY, categories
    assert {case.guard for case in CASES} == set(GUARDS)


def test_no_two_cases_are_alike() -> None:
    """No case says or does what another does."""
    assert len({case.what for case in CASES}) == len(CASES)
    assert len({repr((case.given, case.steps)) for case in CASES}) == len(CASES)
