"""The commands that a page of the documentation shows."""

from __future__ import annotations

import re
from pathlib import Path

_AWAY = re.compile(r"\s(?:>|\|)\s.*")
"""Where the shell leads the output."""
_INDENTED = re.compile(r"^ {4}(?:[^#\n]* \| )?(medbots [^\n]*)", re.MULTILINE)


def mentioned(page: Path) -> list[str]:
    """Return the commands of the page, also those in its indented blocks, which need something.

    Those blocks have what a reader fills in, or what does not end: it parses and is not run.
    """
    indented = [_AWAY.sub("", line) for line in _INDENTED.findall(page.read_text())]
    return [*commands(page), *indented]


def commands(page: Path) -> list[str]:
    """Return each `$ medbots …` line of the page's console blocks, in order."""
    blocks = re.findall(r"^```console\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [_AWAY.sub("", line[2:]).strip() for line in lines if line.startswith("$ medbots")]
