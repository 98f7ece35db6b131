"""The documentation says what the code does: its commands exist, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from medbots.cli import app
from tests.support import docs

ROOT = Path(__file__).parents[2]
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")})
COMMANDS = [(page.name, line) for page in PAGES for line in docs.mentioned(page)]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_every_command_parses(page: str, line: str) -> None:
    """A command in the documentation names verbs and options that exist."""
    command = typer.main.get_command(app.app)
    words = shlex.split(line, comments=True)[1:]
    context = command.make_context("medbots", words.copy(), resilient_parsing=False)
    while hasattr(command, "commands") and (rest := [*context._protected_args, *context.args]):
        name, command, rest = command.resolve_command(context, rest)
        assert command is not None
        context = command.make_context(name, rest, parent=context)


def test_every_kind_of_block_is_read(tmp_path: Path) -> None:
    """In a console block or indented, behind a pipe or before one; no prose, no other tool."""
    page = tmp_path / "page.md"
    page.write_text("""\
Say `medbots verify`, or
medbots plan.

```console
$ medbots db repair\\
 --status applied 0003    # the text
$ psql -f pending.sql
$ medbots db migrate --dry-run > pending.sql
```

    medbots deploy
    jq . | medbots bot exec embedding --input -
    medbots bot logs --follow --format json | your-collector
    # medbots gone
    psql -c 'SELECT 1'
""")
    fenced = ["medbots db repair  --status applied 0003    # the text"]
    fenced.append("medbots db migrate --dry-run")
    assert docs.commands(page) == fenced
    assert docs.mentioned(page) == [
        *fenced,
        "medbots deploy",
        "medbots bot exec embedding --input -",
        "medbots bot logs --follow --format json",
    ]


def test_the_repair_of_the_history_is_read() -> None:
    """What a reader types when the history is wrong is among the commands that must parse."""
    page = ROOT / "docs" / "how-to" / "embedding-store.md"
    assert sum(line.startswith("medbots db repair ") for line in docs.commands(page)) == 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """A relative link names a file that is there."""
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text())
    missing = [link for link in links if not (page.parent / link).exists()]
    assert missing == []
