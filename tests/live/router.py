"""A model router for a target that names none: the project's own model server, on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import medbots


@contextmanager
def running(*options: str) -> Iterator[str]:
    """Start the model server and give its URL."""
    command = [sys.executable, "-P", "-m", "medbots.local.model_server", "--port", "0", *options]
    # The package under test, installed or not, and from whatever folder.
    environment = {**os.environ, "PYTHONPATH": str(Path(medbots.__file__).parents[1])}
    environment.pop("LLM_API_KEY", None)
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    with process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["baseUrl"].rstrip("/")
        finally:
            process.terminate()
