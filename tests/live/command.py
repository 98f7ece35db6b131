"""Runs `medbots`, in this process or in one of its own, with nothing but the settings given."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import medbots
from medbots import __main__, config

FOREIGN = (*config.VARIABLES.values(), config.PROFILE, "MEDBOTS_STATE_DIR", "MEDBOTS_LOG", "CI")
"""Variables of the developer's shell that no test may see."""


@dataclass(frozen=True)
class Result:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        try:
            return json.loads(self.out)
        except ValueError:
            message = f"exit {self.code}, no JSON on stdout: {self.out!r}; stderr: {self.err!r}"
            raise AssertionError(message) from None

    def expect(self, code: int = 0) -> Result:
        """Return this result, whose exit code must be this one."""
        assert self.code == code, f"exit {self.code}\n{self.out}\n{self.err}"
        return self


@dataclass(frozen=True)
class Medbots:
    """The command with its settings."""

    settings: Mapping[str, str]
    """By variable."""
    manifest: Path | None = None

    def having(self, **settings: str | None) -> Medbots:
        """Return the command with some settings changed; None takes one away."""
        both = {**self.settings, **settings}
        return Medbots({k: v for k, v in both.items() if v is not None}, self.manifest)

    def with_manifest(self, manifest: Path) -> Medbots:
        """Return the command with another manifest."""
        return Medbots(self.settings, manifest)

    def __call__(self, *args: str, stdin: str = "") -> Result:
        """Run the command line in this process."""
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self._environment(), clear=True),
            mock.patch.object(sys, "stdin", io.StringIO(stdin)),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = __main__.run(self._line(args))
        return Result(code, out.getvalue(), err.getvalue())

    def json(self, *args: str, code: int = 0) -> Any:
        """Run a command that must exit with `code`, and return its JSON."""
        return self(*args, "--format", "json").expect(code).json

    @contextlib.contextmanager
    def started(self, *args: str) -> Iterator[subprocess.Popen[str]]:
        """Start the command line in a process of its own; what still runs at the end is killed."""
        process = subprocess.Popen(
            [sys.executable, "-m", "medbots", *self._line(args)],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    def _line(self, args: tuple[str, ...]) -> list[str]:
        chosen = ["--manifest", str(self.manifest)] if self.manifest else []
        return [*args, *chosen]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        source = str(Path(medbots.__file__).parents[1])
        return {**kept, "PYTHONPATH": source, **self.settings}
