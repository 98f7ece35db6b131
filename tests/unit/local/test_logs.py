"""The services' log files."""

from __future__ import annotations

from pathlib import Path

import pytest

from medbots import errors
from medbots.local import logs


def test_the_last_lines_redacted(tmp_path: Path) -> None:
    """The last lines are given, without what must not be seen."""
    log = tmp_path / "log"
    log.write_text("one\ntwo\npostgresql://ada:plant@host/db\nBearer plantplant\n")
    assert logs.tail(log, 3) == [
        "two",
        "postgresql://ada:[REDACTED]@host/db",
        "Bearer [REDACTED]",
    ]
    assert logs.tail(log, 0) == []


def test_lines_since_a_start(tmp_path: Path) -> None:
    """Lines of an earlier start are left out."""
    log = tmp_path / "log"
    log.write_text("old\n")
    start = logs.size(log)
    with log.open("a") as file:
        file.write("new\n")
    assert logs.tail(log, 10, start) == ["new"]


def test_no_log(tmp_path: Path) -> None:
    """A log that is not there has no lines and no size."""
    assert logs.tail(tmp_path / "log", 10) == []
    assert logs.size(tmp_path / "log") == 0


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """What is no UTF-8 is shown as well as it can be."""
    log = tmp_path / "log"
    log.write_bytes(b"caf\xe9\n")
    assert logs.tail(log, 1) == ["caf�"]


def test_a_log_that_cannot_be_read(tmp_path: Path) -> None:
    """An error names it."""
    with pytest.raises(errors.StorageError, match=str(tmp_path)):
        logs.tail(tmp_path, 1)


def test_follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole lines are given as they come, of every log, also of a file that was replaced."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("before\n")
    steps = iter(
        [
            lambda: other.write_text("first\nhalf"),
            lambda: other.write_text("first\nhalf a line\n"),
            lambda: one.write_text("new\n"),
            lambda: pytest.fail("the loop should have been left"),
        ]
    )
    monkeypatch.setattr(logs.time, "sleep", lambda _: next(steps)())
    coming = logs.follow({"one": one, "other": other})
    assert [next(coming) for _ in range(3)] == [
        ("other", "first"),
        ("other", "half a line"),
        ("one", "new"),
    ]
