"""The pages that lead a user through the main job, run as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.stage import Stage
from tests.support import docs

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial/your-own-medplum.md"])
def test_each_command_of_the_page_works_in_its_order(page: str, stage: Stage) -> None:
    """Whoever types what the page says, on a project fresh from the server, ends green."""
    owner = stage.clinic.login
    medbots = stage.medbots.having(
        MEDPLUM_EMAIL=owner.email,
        MEDPLUM_PASSWORD=owner.password,
        MEDPLUM_PROJECT=stage.clinic.id,
        MEDPLUM_ACCESS_TOKEN=None,
    )
    commands = docs.commands(ROOT / page)
    assert commands[-1] == "medbots verify"
    for command in commands:
        medbots(*command.split()[1:]).expect()
