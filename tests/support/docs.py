"""The commands that a page of the documentation shows."""

from __future__ import annotations

import re
from pathlib import Path


def commands(page: Path) -> list[str]:
    """Return each `$ medbots …` line of the page's console blocks, in order."""
    blocks = re.findall(r"^```console\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line[2:].strip() for line in lines if line.startswith("$ medbots")]
