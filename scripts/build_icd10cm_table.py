"""Generate bot_templates/src/data/icd10cm.json from the PyPI package simple-icd-10-cm.

The table says which ICD-10-CM codes exist and can be billed (leaves), what each means, and which
exclude one another (Excludes1). ICD-10-CM is in the public domain. Run it again after a new
version: `python scripts/build_icd10cm_table.py`; `--check` only compares, and exits 1 on a
difference.
"""

from __future__ import annotations

import base64
import importlib.metadata
import itertools
import json
import re
import sys
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "bot_templates" / "src" / "data" / "icd10cm.json"
PACKAGE = "simple-icd-10-cm"

BLOCK = 2
"""Codes with the same first two characters are packed together, so that a lookup unpacks few."""

FULL = 7
"""Length of a code with an ending, such as S134XXA; X fills the gap."""

CODE = r"[A-Z](?:[0-9][0-9A-Z]|[A-Z][0-9])(?:\.[0-9A-Z]{1,4})?"
RANGE = re.compile(rf"(?<![A-Za-z0-9.])({CODE})\.?-?(?:\s?-\s?({CODE})\.?-?)?(?![A-Za-z0-9])")

NOTE = re.compile(r"/(?=[\tA-Z])")
"""Where the package adds a note to an ending's words."""

CONDITIONS = {
    "with .44": "4=4/5=4",
    "with .41": "4=4/5=1",
    "with .42": "4=4/5=2",
    "with .43": "4=4/5=3",
    "with .39": "4=3/5=9",
    "with .51-.52": "4=5/5=12",
    "with .52": "4=5/5=2",
    "with .620": "4=6/5=2/6=0",
    "with .62-": "4=6/5=2",
    "with .61-": "4=6/5=1",
    "with .610": "4=6/5=1/6=0",
    "with .69-": "4=6/5=9",
    "with .21": "4=2/5=1",
    "with .29": "4=2/5=9",
    "with fifth character 1": "5=1",
    "with fifth-character 1": "5=1",
    "with 5th character 1": "5=1",
    "with fifth character 2": "5=2",
    "with 5th character 2": "5=2",
    "with fifth character 4": "5=4",
    "with fifth character 6": "5=6",
    "with 5th character .6": "5=6",
    "with fifth character 9": "5=9",
    "with 5th character 9": "5=9",
    "with fifth to sixth characters 51": "5=5/6=1",
    "with seventh character A": "7=A",
    "with 7th character B": "7=B",
    "with open fracture 7th character": "7=BCEFHJMNQ",
    "with ketoacidosis": "4=1",
    **{f"with final characters -{end}": f"5={end[0]}/6={end[1]}" for end in ("90", "92", "93")},
    **{f"with final characters -2{end}": f"5=2/6={end}" for end in "01238"},
}
"""What a note says of the codes that it names, as position and characters; the dot does not count.

A note that says something else is refused, so that a new release is looked at.
"""

NOT_RESOLVED = frozenset(
    {
        # Every code of the classification that is no injury: an alert would always come.
        "specified adverse effects of drugs and medicaments (A00-R94 and T80-T88.6, T88.8)",
        # These name no codes of their own.
        "conditions classifiable to S06.0- to S06.8-code to specified intracranial injury",
        (
            "concussion with other intracranial injuries classified in subcategories S06.1- to "
            "S06.6-, and S06.81- to S06.89-, code to specified intracranial injury"
        ),
    }
)


def document() -> dict[str, Any]:
    """Return the table.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    import simple_icd_10_cm as package  # noqa: PLC0415 (a package of development only)

    release = re.search(r"tabular-(\w+)-(\d+)-(\d+)", _data_file(package))
    if release is None:
        raise ValueError("the package names its data otherwise than expected")
    endings: dict[str, str] = {}
    blocks: dict[str, list[str]] = {}
    for code, line in lines(package, endings):
        blocks.setdefault(code[:BLOCK], []).append(line)
    return {
        "title": "ICD-10-CM: codes, descriptions, inclusion terms, Excludes1 relations",
        "source": "National Center for Health Statistics (CDC), in the public domain",
        "package": f"{PACKAGE} {importlib.metadata.version(PACKAGE)} (PyPI)",
        "release": " ".join(release.groups()),
        "endings": {name: ending for ending, name in endings.items()},
        "excludes1": list(excludes1(package)),
        "blocks": {name: "\n".join(sorted(block)) for name, block in sorted(blocks.items())},
    }


def _data_file(package: Any) -> str:
    return str(package.simple_icd_10_cm._classification_data_package_file_name)  # noqa: SLF001


def lines(package: Any, endings: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each category and code without its dot, with its line.

    A line is `code, description, terms, ending`, parted by tabs. Codes that only add an ending to
    another are not listed: the other names the list of its endings.

    Args:
        package: simple_icd_10_cm.
        endings: receives every list of endings, with its name.
    """
    # A block of one category has its name too.
    for dotted in dict.fromkeys(package.get_all_codes(with_dots=True)):
        if not package.is_category_or_subcategory(dotted):
            continue
        if package.is_extended_subcategory(dotted):
            continue
        code, description = dotted.replace(".", ""), package.get_description(dotted)
        terms = [*package.get_inclusion_term(dotted), *package.get_includes(dotted)]
        children = [*package.get_children(dotted)]
        extended = [child for child in children if package.is_extended_subcategory(child)]
        if extended and len(extended) < len(children):
            raise ValueError(f"{dotted} has codes with and without an ending")
        name = ""
        if extended:
            ending = "|".join(_ending(package, code, description, child) for child in extended)
            name = endings.setdefault(ending, str(len(endings)))
        fields = [code, description, "|".join(term for term in terms if term != description), name]
        yield code, "\t".join(" ".join(part.split()) for part in fields).rstrip("\t")


def _ending(package: Any, code: str, description: str, child: str) -> str:
    """Return an ending's character and what it adds to the description."""
    full, words = child.replace(".", ""), package.get_description(child)
    if full != code.ljust(FULL - 1, "X") + full[-1] or not words.startswith(description):
        raise ValueError(f"{child} is more than its parent and an ending")
    return full[-1] + " ".join(NOTE.split(words.removeprefix(description))[0].split())


def excludes1(package: Any) -> Iterator[str]:
    """Yield `scope, targets` of each note, parted by a tab: codes of the one exclude the others.

    A scope is a code or a range, for itself and all below it. A target is the same and may have
    conditions: `E08-E13/4=4/5=4` is E08.44 to E13.44, `S02/7=B` an open fracture of the skull.
    """
    known = {code.replace(".", "") for code in package.get_all_codes(with_dots=True)}
    for scope, notes in scopes(package):
        targets: dict[str, None] = {}
        for note in notes:
            for target in targets_of(note):
                start = re.split(r"[-/]", target)[0]
                if start in known:
                    targets.setdefault(target)
        if targets:
            yield f"{scope}\t{','.join(targets)}"


def scopes(package: Any) -> Iterator[tuple[str, list[str]]]:
    """Yield what has Excludes1 notes, chapters and blocks as ranges, with its notes."""
    names = list(dict.fromkeys(package.get_all_codes(with_dots=True)))
    categories = sorted(name for name in names if package.is_category(name))
    for name in names:
        if package.is_chapter_or_block(name):
            notes = package.get_excludes1(name, prioritize_blocks=True)
            below = {*package.get_descendants(name, prioritize_blocks=True)} if notes else set()
            for part in _ranges(categories, below):
                yield part, notes
        if package.is_category_or_subcategory(name) and package.get_excludes1(name):
            yield name.replace(".", ""), package.get_excludes1(name)


def _ranges(categories: Iterable[str], chosen: Collection[str]) -> Iterator[str]:
    """Yield the chosen categories as ranges; D3A stands between D39 and D40, in another block."""
    for inside, run in itertools.groupby(categories, key=lambda each: each in chosen):
        if inside:
            first, *rest = run
            yield f"{first}-{rest[-1]}" if rest else first


def targets_of(note: str) -> Iterator[str]:
    """Yield the codes and ranges that an Excludes1 note names; none where it names none.

    Raises:
        ValueError: it names codes on a condition that is not understood.
    """
    if note in NOT_RESOLVED:
        return
    inside = " ".join(re.findall(r"\(([^()]*)\)?", note))
    named = inside if RANGE.search(inside) else note
    codes, on, condition = named.partition(" with ")
    if not RANGE.search(codes):
        codes, on = named, ""
    conditions = ""
    if on:
        if f"with {condition}".strip() not in CONDITIONS:
            raise ValueError(f"a condition that is not understood: {note}")
        conditions = "/" + CONDITIONS[f"with {condition}".strip()]
    for low, high in RANGE.findall(codes):
        target = f"{low}-{high}" if high else low
        yield target.replace(".", "") + conditions


def render(table: Mapping[str, Any]) -> str:
    """Return the file's text: the blocks packed, each on a line of its own."""
    packed = {name: _pack(block) for name, block in table["blocks"].items()}
    plain = {key: value for key, value in table.items() if isinstance(value, str)}
    parts = [
        *(f"{json.dumps(key)}:{json.dumps(value)}" for key, value in plain.items()),
        f'"endings":{_object(table["endings"])}',
        f'"excludes1":[\n{_lines(map(json.dumps, table["excludes1"]))}\n]',
        f'"blocks":{_object(packed)}',
    ]
    return "{" + ",\n".join(parts) + "}\n"


def _object(entries: Mapping[str, str]) -> str:
    pairs = (f"{json.dumps(key)}:{json.dumps(value)}" for key, value in entries.items())
    return "{\n" + _lines(pairs) + "\n}"


def _lines(parts: Iterable[str]) -> str:
    return ",\n".join(parts)


def _pack(block: str) -> str:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return base64.b64encode(deflate.compress(block.encode()) + deflate.flush()).decode()


def read(text: str) -> dict[str, Any]:
    """Return the table that a file's text holds; zlib's bytes differ between its versions."""
    table: dict[str, Any] = json.loads(text)
    unpacked = {
        name: zlib.decompress(base64.b64decode(block), -zlib.MAX_WBITS).decode()
        for name, block in table["blocks"].items()
    }
    return {**table, "blocks": unpacked}


def main() -> int:
    """Write the table, or compare with `--check`."""
    table = document()
    if "--check" in sys.argv[1:]:
        return 0 if TABLE.is_file() and read(TABLE.read_text(encoding="utf-8")) == table else 1
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text(render(table), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
