"""Each guard of the safety suite can be taken out of the sources as they are now."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live import safety_case
from tests.live.safety_case import Guard

ROOT = Path(__file__).parents[2]
QUERIES = ROOT / "sql" / "queries"
BOTS = ROOT / "bot_templates"


@pytest.mark.parametrize("guard", safety_case.guards().values(), ids=lambda guard: guard.name)
def test_a_guard_stands_where_it_is_said_to_stand(guard: Guard) -> None:
    """What is replaced stands once in its file: who moves a guard says so in `guards*.yaml`."""
    texts: dict[Path, str] = {}
    for change in guard.changes:
        name = change["file"]
        file = QUERIES / Path(name).name if name.startswith("sql/") else BOTS / name
        text = texts.setdefault(file, file.read_text(encoding="utf-8"))
        assert text.count(change["find"]) == 1, f"{change['find']!r} in {name}"
        texts[file] = text.replace(change["find"], change["replace"])
