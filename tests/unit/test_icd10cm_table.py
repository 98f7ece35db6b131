"""The ICD-10-CM table of the billing bot: complete, and what the package says."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def script(name: str) -> ModuleType:
    """Load one of scripts/, which stand outside any package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    """scripts/build_icd10cm_table.py."""
    return script("build_icd10cm_table")


@pytest.fixture(scope="module")
def table(builder: ModuleType) -> dict[str, Any]:
    """The table that is committed, unpacked."""
    found: dict[str, Any] = builder.read(builder.TABLE.read_text(encoding="utf-8"))
    return found


def test_it_is_what_the_package_says(builder: ModuleType, table: dict[str, Any]) -> None:
    """The committed table equals one made now (cure: python scripts/build_icd10cm_table.py)."""
    pytest.importorskip("simple_icd_10_cm", reason="simple-icd-10-cm is not installed")
    assert builder.document() == table


def test_it_has_every_code_that_can_be_billed(table: dict[str, Any]) -> None:
    """As many leaves as the release of April 2026 has."""
    pytest.importorskip("simple_icd_10_cm", reason="simple-icd-10-cm is not installed")
    package = sys.modules["simple_icd_10_cm"]
    codes = {code for code in package.get_all_codes() if package.is_category_or_subcategory(code)}
    leaves = sorted(code.replace(".", "") for code in codes if package.is_leaf(code))
    assert sorted(billable(table)) == leaves
    assert len(leaves) > 74_000


def billable(table: dict[str, Any]) -> list[str]:
    """Return every leaf of the table, as the bot finds them."""
    found = []
    for block in table["blocks"].values():
        lines = [line.split("\t") for line in block.split("\n")]
        for index, (code, *fields) in enumerate(lines):
            ending = fields[2] if len(fields) > 2 else ""
            following = lines[index + 1][0] if index + 1 < len(lines) else ""
            if ending:
                ends = [each[0] for each in table["endings"][ending].split("|")]
                found += [code.ljust(6, "X") + end for end in ends]
            elif not following.startswith(code):
                found.append(code)
    return found


def test_it_says_where_it_comes_from(table: dict[str, Any]) -> None:
    """Source, package and release stand in the file."""
    assert "public domain" in table["source"]
    assert table["package"].startswith("simple-icd-10-cm ")
    assert table["release"]


@pytest.mark.parametrize(
    ("note", "targets"),
    [
        ("acute bronchitis (J20.-)", ["J20"]),
        ("peritonitis (O00-O07, O08.0)", ["O00-O07", "O080"]),
        ("neonatal peritonitis (P78.0-P78.1)", ["P780-P781"]),
        ("spondylosis (M47.0-, M47.2.-)", ["M470", "M472"]),
        ("diabetic mononeuropathy (E08-E13 with .41)", ["E08-E13/4=4/5=1"]),
        ("open fracture of the skull (S02.- with 7th character B)", ["S02/7=B"]),
        ("any type in A15 (J65)", ["J65"]),
        ("torticollis NOS M43.6", ["M436"]),
        ("acquired absence of knee joint (Z89.52-", ["Z8952"]),
        ("viral infection (HIV)", []),
        ("confirmed infection - code to infection", []),
    ],
)
def test_a_note_names_its_codes(builder: ModuleType, note: str, targets: list[str]) -> None:
    """Codes, ranges and conditions of an Excludes1 note."""
    assert list(builder.targets_of(note)) == targets


def test_a_condition_that_nobody_knows_is_refused(builder: ModuleType) -> None:
    """A new release with new words is looked at, not guessed."""
    with pytest.raises(ValueError, match="not understood"):
        list(builder.targets_of("something new (E08-E13 with a blue moon)"))


def test_a_new_table_makes_a_new_bundle_and_ships() -> None:
    """The bundle is made again when the table changes, and the wheel holds both."""
    kept = ROOT / "bot_templates" / "dist" / "bundles.json"
    if not kept.is_file():
        pytest.skip("nothing is built (cure: make build)")
    record = json.loads(kept.read_text(encoding="utf-8"))["bundles"]["billing-code-suggester"]
    assert "src/data/icd10cm.json" in record["inputs"]
    places = {place for _, place in script("build_assets").shipped()}
    assert "bot_templates/src/data/icd10cm.json" in places
