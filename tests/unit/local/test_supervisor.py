"""Bringing the stack up and down, with services that only pretend."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from medbots import errors
from medbots.local import allotment, service, stack, stackfile, supervisor
from medbots.local.supervisor import Event, Supervisor, Wish

NAMES = stack.SERVICES


class Pretended:
    """A service whose life is a few flags; one for the whole test, whatever is asked of it."""

    def __init__(self, name: str, folder: Path, journal: list[str]) -> None:
        """Describe a stopped service."""
        self.name = name
        self.url = f"http://127.0.0.1/{name}"
        self.log = folder / f"{name}.log"
        self.notes: list[str] = []
        self.journal = journal
        self.runs = False
        self.healthy = True
        self.current = True
        self.on_start: Callable[[], None] = lambda: None
        self.on_ready: Callable[[], bool] = lambda: True
        self.on_stop: Callable[[], None] = lambda: None

    def pid(self) -> int | None:
        """Return a pid while it runs."""
        return os.getpid() if self.runs else None

    def is_current(self) -> bool:
        """Return what the test says."""
        return self.current

    def is_healthy(self) -> bool:
        """Return what the test says."""
        return self.runs and self.healthy

    def start(self) -> None:
        """Run, unless the test has other plans."""
        self.journal.append(f"start {self.name}")
        self.runs = True
        self.healthy = self.current = True
        self.on_start()

    def is_ready(self) -> bool:
        """Return what the test says."""
        return self.on_ready()

    def stop(self) -> bool:
        """Stop."""
        ran, self.runs = self.runs, False
        if ran:
            self.journal.append(f"stop {self.name}")
        self.on_stop()
        return ran

    def places(self) -> list[Path]:
        """Return nothing."""
        return []

    def remove(self) -> None:
        """Tell that it was asked."""
        self.journal.append(f"remove {self.name}")


class Stage:
    """A supervisor over pretended services."""

    def __init__(self, folder: Path) -> None:
        """Set the stage."""
        self.folder = folder / "local"
        self.journal: list[str] = []
        self.events: list[Event] = []
        self.services = {name: Pretended(name, folder, self.journal) for name in NAMES}
        self.supervisor = Supervisor(self.folder, preferred={})

    def up(self, wish: Wish | None = None) -> dict[str, str]:
        """Bring it up."""
        return self.supervisor.up(wish or Wish(), self.events.append)

    def told(self) -> list[str]:
        """Return what was told, as words."""
        return [f"{event.service} {event.what}" for event in self.events]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A stage in a folder of its own; no port is asked of the system."""
    made = Stage(tmp_path)
    monkeypatch.setattr(stack, "services", lambda *_: made.services)
    monkeypatch.setattr(stack, "profile", lambda *_: {"MEDPLUM_BASE_URL": "http://x/"})
    monkeypatch.setattr(supervisor, "_UNWELL_SECONDS", 0.0)
    monkeypatch.setattr(allotment.ports, "is_free", lambda _: True)
    numbers = iter(range(20_000, 21_000))
    monkeypatch.setattr(allotment.ports, "any_free", lambda _=(): next(numbers))
    return made


def test_up_starts_in_order_and_returns_the_profile(stage: Stage) -> None:
    """The database comes first, the server last; the result says how to reach them."""
    assert stage.up() == {"MEDPLUM_BASE_URL": "http://x/"}
    assert stage.journal == ["start postgres", "start models", "start medplum"]
    assert [one for one in stage.told() if one.endswith("healthy")] == [
        "postgres healthy",
        "models healthy",
        "medplum healthy",
    ]


def test_up_twice_starts_nothing(stage: Stage) -> None:
    """A second up finds everything as it should be."""
    stage.up()
    stage.journal.clear()
    stage.events.clear()
    stage.up()
    assert stage.journal == []
    assert stage.told() == ["postgres running", "models running", "medplum running"]


@pytest.mark.parametrize("trouble", ["runs", "healthy", "current"])
def test_up_repairs_what_is_half_up(stage: Stage, trouble: str) -> None:
    """A service that is gone, silent or outdated is started anew; the others are left alone."""
    stage.up()
    stage.journal.clear()
    setattr(stage.services["models"], trouble, False)
    stage.up()
    stop = [] if trouble == "runs" else ["stop models"]
    assert stage.journal == [*stop, "start models"]


def _fail() -> bool:
    raise errors.LocalStackError("medplum ended while it started")


def _interrupt() -> bool:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("what", "expected"), [(_fail, errors.LocalStackError), (_interrupt, KeyboardInterrupt)]
)
def test_a_failed_up_leaves_nothing_running(
    stage: Stage, what: Callable[[], bool], expected: type[BaseException]
) -> None:
    """After a crash or a Ctrl-C, what this up started is stopped, the last one first."""
    stage.services["medplum"].on_ready = what
    with pytest.raises(expected):
        stage.up()
    assert stage.journal[-3:] == ["stop medplum", "stop models", "stop postgres"]


def test_an_interrupt_while_a_service_is_started(stage: Stage) -> None:
    """A Ctrl-C inside a start stops that very service too."""
    stage.services["models"].on_start = lambda: (_interrupt(), None)[1]
    with pytest.raises(KeyboardInterrupt):
        stage.up()
    assert stage.journal == ["start postgres", "start models", "stop models", "stop postgres"]


def test_a_failed_up_leaves_what_ran_before(stage: Stage) -> None:
    """What had been running is not stopped by an up that fails."""
    stage.up()
    stage.services["medplum"].runs = False
    stage.services["medplum"].on_ready = _fail
    stage.journal.clear()
    with pytest.raises(errors.LocalStackError):
        stage.up()
    assert stage.journal == ["start medplum", "stop medplum"]


def test_a_second_interrupt_waits_for_the_cleaning_up(stage: Stage) -> None:
    """A Ctrl-C while services are being stopped does not leave the others running."""
    stage.services["medplum"].on_ready = _interrupt
    stage.services["medplum"].on_stop = lambda: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        stage.up()
    assert stage.journal[-1] == "stop postgres"
    assert not any(one.runs for one in stage.services.values())


def test_a_service_that_never_gets_ready(stage: Stage) -> None:
    """After the time limit the error names it and shows its log, and nothing is left running."""
    slow = stage.services["models"]
    slow.log.write_text("loading the model\n")
    slow.on_ready = lambda: False
    with pytest.raises(errors.LocalStackError) as caught:
        stage.up(Wish(timeout=0.05))
    assert "models was not ready after" in caught.value.message
    assert "loading the model" in caught.value.message
    assert not any(one.runs for one in stage.services.values())


def test_waiting_is_told(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that takes long is told of while it is waited for."""
    monkeypatch.setattr(supervisor, "_PROGRESS_SECONDS", 0.05)
    answers = iter([False] * 6)
    stage.services["medplum"].on_ready = lambda: next(answers, True)
    stage.up()
    assert "medplum waiting" in stage.told()
    assert stage.told()[-1] == "medplum healthy"


def test_notes_of_a_start_are_told(stage: Stage) -> None:
    """What a service has to say about its start reaches the user."""
    stage.services["postgres"].notes.append("the database lies elsewhere")
    stage.up()
    assert Event("postgres", "note", "the database lies elsewhere") in stage.events


def test_one_at_a_time(stage: Stage) -> None:
    """While one up is at work, another is refused, and so are down and reset."""
    refused = []

    def meanwhile() -> None:
        for again in (
            lambda: stage.supervisor.up(Wish(), stage.events.append),
            lambda: stage.supervisor.down(stage.events.append),
            lambda: stage.supervisor.reset(stage.events.append),
        ):
            with pytest.raises(errors.LocalStackError) as caught:
                again()
            refused.append(caught.value.message)

    stage.services["medplum"].on_start = meanwhile
    stage.up()
    assert refused == ["another medbots command is changing this stack right now"] * 3
    assert all(one.runs for one in stage.services.values())


def test_down_stops_the_database_last(stage: Stage) -> None:
    """Down goes the other way than up, and a second down finds nothing."""
    stage.up()
    stage.journal.clear()
    assert stage.supervisor.down(stage.events.append) is True
    assert stage.journal == ["stop medplum", "stop models", "stop postgres"]
    assert stage.supervisor.down(stage.events.append) is False


def test_down_goes_on_after_a_failure(stage: Stage) -> None:
    """A service that cannot be stopped keeps none of the others running."""
    stage.up()

    def refuse() -> None:
        raise errors.LocalStackError("process 7 does not end")

    stage.services["medplum"].on_stop = refuse
    with pytest.raises(errors.LocalStackError, match="process 7"):
        stage.supervisor.down(stage.events.append)
    assert not any(one.runs for one in stage.services.values())


def test_down_without_a_stack(stage: Stage) -> None:
    """Where there never was a stack, nothing is stopped and no folder is made."""
    assert stage.supervisor.down(stage.events.append) is False
    assert not stage.folder.exists()


def test_status(stage: Stage) -> None:
    """Status tells each service's URL, pid and health, and nothing where there is no stack."""
    assert stage.supervisor.status() == []
    stage.up()
    stage.services["models"].healthy = False
    stage.services["medplum"].runs = False
    assert stage.supervisor.status() == [
        service.Status("postgres", "http://127.0.0.1/postgres", os.getpid(), healthy=True),
        service.Status("models", "http://127.0.0.1/models", os.getpid(), healthy=False),
        service.Status("medplum", "http://127.0.0.1/medplum", None, healthy=False),
    ]


def test_the_profile_of_no_stack(stage: Stage) -> None:
    """Where there is no stack, its settings are an error that names the command."""
    with pytest.raises(errors.LocalStackError) as caught:
        stage.supervisor.profile()
    assert caught.value.hint == "medbots local up"


def test_ports_and_credentials_are_remembered(stage: Stage) -> None:
    """The next up has the same ports and credentials; what a wish names is kept from then on."""
    path = stage.supervisor.layout.stackfile
    stage.up(Wish({"medplum": 9103}, "minilm", 384))
    first = stackfile.load(path)
    stage.up()
    assert stackfile.load(path) == first
    assert first is not None
    assert first.ports["medplum"] == stackfile.Port(9103, given=True)
    assert first.models == stackfile.Models("minilm", 384)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_former_model_goes_on(stage: Stage) -> None:
    """A stack whose model changes offers the former alias too; a new stack has had no other."""
    path = stage.supervisor.layout.stackfile
    stage.up(Wish(alias="narrow", dimension=384))
    first = stackfile.load(path)
    assert first is not None
    assert first.models.former == {}
    stage.up(Wish(alias="wide", dimension=512))
    second = stackfile.load(path)
    assert second is not None
    assert second.models.former == {"narrow": 384}


def test_another_engine_is_told_of(stage: Stage) -> None:
    """Vectors of two engines do not compare, and nothing but this message says so."""
    stage.up()
    assert not any(event.what == "note" for event in stage.events)
    stage.up(Wish(embeddings="minilm"))
    (note,) = [event.detail for event in stage.events if event.what == "note"]
    assert note.startswith("the vectors in the database were made by another engine")


def test_another_port_stops_the_service_first(stage: Stage) -> None:
    """A running service that is given another port is stopped while it is still known."""
    stage.up()
    stage.journal.clear()
    stage.up(Wish({"models": 9080}))
    assert stage.journal == ["stop models", "start models"]


def test_reset_stops_removes_and_deletes(stage: Stage) -> None:
    """Reset leaves nothing of the stack, and says before how much there is."""
    stage.up()
    (stage.folder / "file").write_bytes(b"x" * 1000)
    assert stage.supervisor.size() >= 1000
    stage.journal.clear()
    stage.supervisor.reset(stage.events.append)
    assert stage.journal == [
        *("stop medplum", "stop models", "stop postgres"),
        *("remove postgres", "remove models", "remove medplum"),
    ]
    assert not stage.folder.exists()


def test_reset_of_a_broken_stack(stage: Stage) -> None:
    """A stack whose file is broken can be reset, though not brought up."""
    stage.up()
    stage.supervisor.layout.stackfile.write_text("{")
    with pytest.raises(errors.LocalStackError, match="it cannot be read"):
        stage.up()
    stage.supervisor.reset(stage.events.append)
    assert not stage.folder.exists()


def test_a_state_folder_that_is_a_file(stage: Stage) -> None:
    """Where the folder cannot be made, one clear message names it."""
    stage.folder.parent.joinpath("local").write_text("in the way")
    with pytest.raises(errors.StorageError, match=str(stage.folder)):
        stage.up()
    assert stage.journal == []


def test_a_full_disk(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be written, nothing is started, and the message says why."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(errors.StorageError, match="no space left on device") as caught:
        stage.up()
    assert "MEDBOTS_STATE_DIR" in (caught.value.hint or "")
    assert stage.journal == []
    assert list(stage.folder.glob("*")) == []


def test_windows_is_refused(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows the message says where the stack runs instead."""
    monkeypatch.setattr(stack.sys, "platform", "win32")
    with pytest.raises(errors.LocalStackError, match="Linux and macOS"):
        stage.up()
