"""Hatchling's hook: builds the bots and the local server, and puts them into the wheel."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface[Any]):
    """Builds the assets before any archive; an editable install uses them where they are."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build what is out of date; for a wheel, name the files that ship in it."""
        assets = _build_assets(Path(self.root))
        assets.build(self.app.display_info)
        if self.target_name == "wheel" and version != "editable":
            for file, place in assets.shipped():
                build_data["force_include"][str(file)] = f"medbots/_assets/{place}"


def _build_assets(root: Path) -> Any:
    """Return scripts/build_assets.py, which stands outside any package."""
    file = root / "scripts" / "build_assets.py"
    spec = importlib.util.spec_from_file_location("build_assets", file)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
