"""The bar of a build whose phases become known as it goes."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from medbots.cli import options, render, render_watch
from medbots.database import watch

WHAT = "index clinical_embeddings_embedding_idx"
SETTINGS: Any = None
"""Not looked at: there is no second connection here."""


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal of 80 columns, as a string."""
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=80, highlight=False)
    monkeypatch.setattr(render, "_console", lambda *_, **__: console)
    return written


def test_a_bar_fits_on_a_line(screen: io.StringIO) -> None:
    """Name, phase, bar and percentage stand on one line of 80 columns, and go at the end."""
    with render_watch.Watcher(options.Options(), SETTINGS) as watcher:
        for phase in ("waiting for writers before build", "building index: loading tuples"):
            watcher.progress(watch.Progress(WHAT, phase, 42, 100))
        watcher.progress(watch.Progress(WHAT, watch.DONE, 1, 1))
    text = screen.getvalue()
    assert "clinical_embeddings_embedding_idx: waiting for writers" in text
    assert "clinical_embeddings_embedding_idx: loading tuples" in text
    assert "42%" in text
    assert "…" not in text
    # Cleared: the last thing written erases the line.
    assert text.rstrip("\n").endswith("\x1b[2K")


def test_nobody_looks_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Where stderr is a file there is no bar, and no second connection is opened for one."""
    with render_watch.Watcher(options.Options(), SETTINGS) as watcher:
        assert watcher.second() is None
        watcher.progress(watch.Progress(WHAT, "building index: loading tuples", 42, 100))
    assert capsys.readouterr() == ("", "")


def test_an_unknown_total(screen: io.StringIO) -> None:
    """A phase without a total shows that something goes on, and no percentage."""
    with render_watch.Watcher(options.Options(), SETTINGS) as watcher:
        watcher.progress(watch.Progress(WHAT, "building index: sorting live tuples", 0, 0))
    assert "sorting live tuples" in screen.getvalue()
    assert "%" not in screen.getvalue()
