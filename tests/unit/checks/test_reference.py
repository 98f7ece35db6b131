"""The reference of the checks is current, and says of each what a reader wants to know."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from medbots.checks import catalogue
from medbots.checks.family import Definition

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "scripts" / "build_checks_docs.py"
DEFINITIONS = [one for family in catalogue.families() for one in family.definitions]


def test_the_page_is_current() -> None:
    """The committed page is what the docstrings say: `make docs` writes it."""
    ended = subprocess.run([sys.executable, str(SCRIPT), "--check"], check=False)
    assert ended.returncode == 0


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda one: one.pattern)
def test_each_check_is_documented(definition: Definition) -> None:
    """Each check has a title of one sentence, what it proves, how it fails, and the cure."""
    title, _, body = definition.documentation.partition("\n")
    assert title.endswith(".")
    assert definition.title == title.rstrip(".")
    labels = [paragraph.partition(":")[0] for paragraph in body.strip().split("\n\n")]
    assert [one for one in labels if one in ("Proves", "Fails", "Cure")] == [
        "Proves",
        "Fails",
        "Cure",
    ]
