"""A service that is one program."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from medbots import errors
from medbots.local import ports, processes, program

pytestmark = pytest.mark.enable_socket

SERVER = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
print(json.dumps({"ready": True}), flush=True)
server.serve_forever()
"""
BROKEN = "print('postgresql://ada:plant@host/db is no place to be'); raise SystemExit(3)"


class Workshop:
    """Makes programs that live in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = ports.any_free()

    def make(self, code: str = SERVER, **changes: object) -> program.Program:
        """Return the program; the same record, log and port each time."""
        given = {
            "name": "thing",
            "url": f"http://127.0.0.1:{self.port}",
            "command": lambda: [sys.executable, "-c", code, str(self.port)],
            "health": "/health",
            "log": self.folder / "thing.log",
            "record": self.folder / "thing.json",
        }
        return program.Program(**{**given, **changes})  # type: ignore[arg-type]


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    """A workshop whose program is stopped at the end."""
    made = Workshop(tmp_path)
    yield made
    made.make().stop()


def _wait_ready(one: program.Program) -> None:
    deadline = time.monotonic() + 10
    while not one.is_ready():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_its_life(workshop: Workshop) -> None:
    """It starts, is known to another run by its record, answers, and stops."""
    one = workshop.make()
    assert (one.pid(), one.is_healthy(), one.is_current()) == (None, False, False)
    one.start()
    _wait_ready(one)
    later = workshop.make()
    assert later.pid() == one.pid()
    assert later.is_healthy()
    assert later.is_current()
    assert later.stop() is True
    assert (later.pid(), later.is_healthy()) == (None, False)
    assert not one.record.exists()
    assert later.stop() is False


@pytest.mark.parametrize(
    "change",
    [
        {"build": lambda: "other"},
        {"environ": {"KEY": "other"}},
        {"command": lambda: [sys.executable, "-c", SERVER, "0"]},
    ],
)
def test_a_changed_program_is_not_current(workshop: Workshop, change: dict[str, object]) -> None:
    """Another build, another variable or another command line asks for a new start."""
    one = workshop.make()
    one.start()
    assert not workshop.make(**change).is_current()


def test_a_stale_record_harms_nobody(workshop: Workshop) -> None:
    """A record whose pid is somebody else's by now is not believed, and nobody is stopped."""
    victim = processes.spawn([sys.executable, "-c", SERVER, "0"], workshop.folder / "log", {})
    one = workshop.make()
    one.record.write_text(json.dumps({"pid": victim.pid, "started": "earlier", "made": ""}))
    assert one.pid() is None
    assert one.stop() is False
    assert processes.is_alive(victim)
    processes.stop(victim, 5)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "7"}', '{"pid": 7}'])
def test_a_broken_record(workshop: Workshop, text: str) -> None:
    """A record that cannot be read means that nothing runs."""
    one = workshop.make()
    one.record.write_text(text)
    assert one.pid() is None
    assert not one.is_current()


def test_a_crash_tells_its_last_words(workshop: Workshop) -> None:
    """A program that ends instead of starting says why, without secrets."""
    one = workshop.make(BROKEN)
    one.start()
    with pytest.raises(errors.LocalStackError) as caught:
        _wait_ready(one)
    assert "thing ended while it started" in caught.value.message
    assert "postgresql://ada:[REDACTED]@host/db is no place to be" in caught.value.message
    assert caught.value.hint == "medbots local logs thing"


def test_the_ready_line_of_an_earlier_start_does_not_count(workshop: Workshop) -> None:
    """Only what was said since this start tells that it is ready."""
    one = workshop.make("import time; time.sleep(30)")
    one.log.write_text('{"ready": true}\n')
    one.start()
    assert not one.is_ready()


def test_its_configuration_is_private(workshop: Workshop) -> None:
    """What it reads at its start is written first, for its owner only, and is part of its build."""
    file = workshop.folder / "configuration.json"
    one = workshop.make(configuration=(file, '{"password": "plant"}'))
    one.start()
    assert file.read_text() == '{"password": "plant"}'
    assert file.stat().st_mode & 0o777 == 0o600
    assert not workshop.make(configuration=(file, "{}")).is_current()
    assert "plant" not in repr(one)
    assert "plant" not in one.record.read_text()
