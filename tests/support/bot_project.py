"""Folders of bot sources for tests of the bundler, and the tools that they need."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from medbots import assets, bundler, errors, model
from medbots.bundler import tools

HANDLER = "export async function handler(): Promise<number> { return 1; }\n"


def environment() -> dict[str, str]:
    """The environment of a run that uses the esbuild of this checkout; the test is skipped without.

    A project outside the checkout has no node_modules of its own.
    """
    environ = {key: value for key, value in os.environ.items() if key != tools.ESBUILD}
    try:
        program = tools.esbuild(assets.bot_templates(), environ | {"PATH": ""})
    except errors.BundleError:
        pytest.skip("esbuild is not there (cure: make build)")
    return environ | {tools.ESBUILD: str(program)}


def make(folder: Path, sources: dict[str, str]) -> Path:
    """Write a project with these sources, by path; return its folder."""
    (folder / "medbots.yaml").parent.mkdir(parents=True, exist_ok=True)
    (folder / "medbots.yaml").write_text("version: 1\nbots: {}\n")
    for name, text in sources.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def spec(folder: Path, source: str = "src/bot.ts") -> model.BotSpec:
    """The bot of one source."""
    return model.BotSpec("bot", "Bot", folder / source)


def examined(folder: Path, source: str = "src/bot.ts") -> bundler.Built:
    """What becomes of one source."""
    (built,) = bundler.examine([spec(folder, source)], environ=environment())
    return built
