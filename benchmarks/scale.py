"""Runs the store's benchmark at growing numbers of rows, and fits how its figures grow.

    python -m benchmarks.scale [ROWS…]          20000 100000 500000 without any

Each run is kept in `build/scale-ROWS.json` as soon as it ends: a later call takes it from there,
so that the great ones can run when the machine is free. `--anew` measures them again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import store
from medbots.bench import figures, laws

ROWS = (20_000, 100_000, 500_000)
FOLDER = Path(__file__).parent.parent / "build"
_ROW = "{:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}"
_HEADINGS = ("rows", "recall", "search", "exact", "guide", "its exact", "insert", "build s", "MB")


def main(argv: list[str]) -> int:
    """Measure what is not there yet, and print a table and the laws."""
    anew = "--anew" in argv
    try:
        sizes = sorted({int(given) for given in argv if given != "--anew"}) or ROWS
    except ValueError:
        sys.stderr.write(f"{__doc__}\n")
        return 64
    print(_ROW.format(*_HEADINGS), flush=True)
    stages = []
    for rows in sizes:
        document = _measured(rows, anew=anew)
        stages += [figures.Stage(**one) for one in document["stages"]]
        print(_line(document), flush=True)
    for law in laws.of(stages):
        formula = f"{law.factor:.3g} x rows^{law.power:.2f} {law.unit}"
        print(f"{law.what}: {formula}, within {law.worst:.0%}")
    return 0


def _measured(rows: int, *, anew: bool) -> dict[str, Any]:
    file = FOLDER / f"scale-{rows}.json"
    if anew or not file.exists():
        found, _ = store.measure(rows)
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(found.document(), indent=2) + "\n")
    document: dict[str, Any] = json.loads(file.read_text())
    return document


def _line(document: dict[str, Any]) -> str:
    ours, guide, last = document["ours"], document["guide"], document["stages"][-1]
    return _ROW.format(
        f"{document['rows']:,}",
        f"{ours['everything']['recall']:.3f}",
        f"{ours['everything']['p50']:.2f}",
        f"{ours['exact']['p50']:.0f}",
        f"{guide['everything']['p50']:.2f}",
        f"{guide['exact']['p50']:.0f}",
        f"{1000 * last['insert_row']:.2f}",
        f"{last['build']:.0f}",
        f"{ours['bytes'] / 1e6:.0f}",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
