"""A reconciliation of ten thousand records, in a project of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live import test_reconcile as thousand
from tests.live.medplum import Session
from tests.live.stage import Stage
from tests.live.target import Target

pytestmark = pytest.mark.full


@pytest.fixture(scope="module", name="whole")
def _whole(whole: Target) -> Iterator[Target]:
    """A database of its own, as there."""
    with thousand.apart(whole) as own:
        yield own


def test_the_difference_is_zero_afterwards(stage: Stage, super_admin: Session) -> None:
    """Events of every kind are lost at random, fifteen hundred in all; nothing is wrong after."""
    thousand.check_the_difference(thousand.embed(stage, super_admin, 10_000), 300)
