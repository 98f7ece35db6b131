"""Tables: whole words and ids on a terminal of any width, whole lines anywhere else."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from medbots.cli import options, render

ID = "11111111-1111-4111-8111-111111111111"
WHY = "1,133 dead rows beside 20,000: a vacuum would take longer to mend the graph than a rebuild"
APPROVALS = (
    ("id", "command", "patient", "age", "expires", "state", "approver", "confidence"),
    [
        (ID, "create-medication-request", ID, "3 h", "in 21 h", "waits", "pharmacist", "0.92"),
        (ID.replace("1", "2"), "send", "", "3 min", "in 21 h", "", "", ""),
    ],
)
INVENTORY = (
    ("type", "resources", "embedded", "missing", "stale", "orphaned", "failed"),
    [("MedicationAdministration", "10000", "9998", "1", "0", "0", "1")],
)
ROLES = (
    ("role", "kind", "project", "members"),
    [(f"medbots_reader_{ID.replace('-', '')}_1f2e3d4c", "reader", ID, "grafana, prometheus")],
)
STEPS = (
    ("step", "of", "", "why"),
    [("reindex", "clinical_embeddings_embedding_idx", "done", WHY)],
)

Shown = Callable[..., list[str]]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """What a table looks like on a terminal of some width, without trailing blanks."""

    def show(
        columns: tuple[str, ...], rows: list[tuple[str, ...]], width: int = 80, title: str = ""
    ) -> list[str]:
        written = io.StringIO()
        console = Console(file=written, force_terminal=True, width=width, color_system=None)
        monkeypatch.setattr(render, "_console", lambda *_, **__: console)
        render.table(options.Options(), columns, rows, title=title)
        return [line.rstrip() for line in written.getvalue().splitlines()]

    return show


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
@pytest.mark.parametrize(
    ("columns", "rows"),
    [APPROVALS, INVENTORY, ROLES, STEPS],
    ids=["tasks", "types", "roles", "why"],
)
def test_no_word_is_broken(
    shown: Shown, columns: tuple[str, ...], rows: list[tuple[str, ...]], width: int
) -> None:
    """Every heading and every word of every cell stands whole, in order, and each line fits."""
    lines = shown(columns, rows, width)
    assert max(map(len, lines)) <= width
    printed = " ".join(lines).split()
    for cell in (*columns, *(cell for row in rows for cell in row)):
        for word in cell.split():
            assert word in printed


def test_a_wide_table_goes_on_below(shown: Shown) -> None:
    """What does not fit stands indented below, the heading too; an empty rest takes no line."""
    assert shown(*APPROVALS) == [
        "",
        "id                                    command",
        "  patient                               age    expires  state  approver",
        "  confidence",
        "─" * 73,
        "11111111-1111-4111-8111-111111111111  create-medication-request",
        "  11111111-1111-4111-8111-111111111111  3 h    in 21 h  waits  pharmacist",
        "  0.92",
        "22222222-2222-4222-8222-222222222222  send",
        "                                        3 min  in 21 h",
        "",
    ]


def test_a_table_that_fits_with_less_between_its_columns(shown: Shown) -> None:
    """It stays one line a row."""
    assert shown(*INVENTORY, title="before") == [
        "before",
        "type                      resources  embedded  missing  stale  orphaned  failed",
        "─" * 79,
        "MedicationAdministration  10000      9998      1        0      0         1",
        "",
    ]


def test_prose_is_folded_between_words(shown: Shown) -> None:
    """Facts of two columns: the second is folded, and goes on where it began."""
    lines = shown(("", ""), [("index", f"is due: {WHY}"), ("rows", "5")])
    assert lines == [
        "",
        "index  is due: 1,133 dead rows beside 20,000: a vacuum would take longer to mend",
        "       the graph than a rebuild",
        "rows   5",
        "",
    ]


def test_a_word_that_is_longer_than_the_terminal(shown: Shown) -> None:
    """It runs over, for the terminal to break, which then copies it whole."""
    assert ID in shown(("id", "state"), [(ID, "waits")], width=20)


def test_wide_characters(shown: Shown) -> None:
    """A character that takes two cells counts for two."""
    lines = shown(("name", "why"), [("日本語", WHY), ("abc", "x")])
    assert lines[3].startswith("日本語  1,133")
    assert lines[-2] == "abc     x"


def test_a_pipe_has_no_edge(capsys: pytest.CaptureFixture[str]) -> None:
    """Where stdout is no terminal a row is one line, however long it is."""
    render.table(options.Options(), ("id", "why"), [(ID, "word " * 200)])
    (line,) = [one for one in capsys.readouterr().out.splitlines() if ID in one]
    assert line.count("word") == 200


@pytest.mark.parametrize("columns", [("status", "why"), ("status", "why " * 30)])
def test_no_color_is_no_bold_either(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: tuple[str, str]
) -> None:
    """By flag or by NO_COLOR, a terminal gets no escape at all: not bold, not dim."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    rows = [("skipped", "x"), ("failed", "y")]
    render.table(options.Options(), columns, rows)
    assert "\x1b[" in capsys.readouterr().out
    render.table(options.Options(no_color=True), columns, rows)
    assert "\x1b" not in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    render.table(options.Options(), columns, rows)
    assert "\x1b" not in capsys.readouterr().out
