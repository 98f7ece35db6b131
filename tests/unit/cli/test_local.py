"""`local up`, `status`, `logs`, `down` and `reset`: what they print, and how they refuse."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from medbots import __main__ as boundary
from medbots import config, errors
from medbots.cli import local
from medbots.local import service, stack
from medbots.local.supervisor import Event, Wish
from medbots.medplum import sessions

STATUS = [
    service.Status("postgres", "postgresql://127.0.0.1:5433/medbots", 71, healthy=True),
    service.Status("models", "http://127.0.0.1:8080", 72, healthy=False),
    service.Status("medplum", "http://localhost:8103/", None, healthy=False),
]
PROFILE = {
    "MEDPLUM_BASE_URL": "http://localhost:8103/",
    "MEDPLUM_PASSWORD": "it's $HOME",
    "MEDPLUM_PROJECT": "Local Clinic",
}


class Stack:
    """A supervisor that only remembers what was asked of it."""

    def __init__(self, folder: Path) -> None:
        """Have a folder, and log files in it."""
        self.layout = stack.Layout(folder)
        self.wishes: list[Wish] = []
        self.did: list[str] = []
        self.runs = True
        self.error: BaseException | None = None

    def up(self, wish: Wish, tell: Callable[[Event], None]) -> dict[str, str]:
        """Tell of a service, then return the profile or fail."""
        self.wishes.append(wish)
        tell(Event("postgres", "starting", STATUS[0].url))
        tell(Event("postgres", "healthy", STATUS[0].url, 1.04))
        tell(Event("models", "running", STATUS[1].url))
        tell(Event("medplum", "waiting", STATUS[2].url, 5.4))
        if self.error:
            raise self.error
        return PROFILE

    def status(self) -> list[service.Status]:
        """Return three services."""
        return STATUS

    def profile(self) -> dict[str, str]:
        """Return the profile."""
        return PROFILE

    def logs(self) -> dict[str, Path]:
        """Return the logs."""
        return {name: self.layout.log(name) for name in ("postgres", "models")}

    def down(self, tell: Callable[[Event], None]) -> bool:
        """Tell of a service that stopped."""
        if self.runs:
            tell(Event("medplum", "stopped", STATUS[2].url))
        return self.runs

    def size(self) -> int:
        """Return a size."""
        return 48_100_000

    def reset(self, tell: Callable[[Event], None]) -> None:
        """Remember that it was asked."""
        self.did.append("reset")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack below a state folder of the test's own."""
    monkeypatch.setenv("MEDBOTS_STATE_DIR", str(tmp_path))
    for name in (*config.VARIABLES.values(), config.PROFILE):
        monkeypatch.delenv(name, raising=False)
    made = Stack(tmp_path / "local")
    monkeypatch.setattr(local, "supervisor", lambda: made)
    return made


def test_up(fake: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Up narrates on stderr, writes the profile, and asks for what the manifest's models need."""
    assert boundary.run(["local", "up", "--medplum-port", "9103"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "postgres  healthy in  1.0 s    postgresql://127.0.0.1:5433/medbots",
        "models    runs already        http://127.0.0.1:8080",
        "medplum   still starting, 5 s",
        "profile 'local' reaches it: medbots --profile local deploy",
    ]
    assert fake.wishes == [Wish({"medplum": 9103}, None, 768, "embedding-model", "clinical-model")]
    written = sessions.Sessions(tmp_path).profile("local")
    assert {name: written[name] for name in PROFILE} == PROFILE


def test_up_for_machines(fake: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """With --format json, stdout is the status."""
    assert boundary.run(["local", "up", "--format", "json"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["services"]] == [
        *("postgres", "models", "medplum")
    ]


def test_the_models_answer_as_the_environment_says(
    fake: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EMBEDDING_DIM, EMBEDDING_MODEL and CLINICAL_MODEL reach the model server."""
    monkeypatch.setenv("EMBEDDING_DIM", "384")
    monkeypatch.setenv("EMBEDDING_MODEL", "small")
    monkeypatch.setenv("CLINICAL_MODEL", "wise")
    assert boundary.run(["local", "up", "--embeddings", "minilm"]) == 0
    assert fake.wishes == [Wish({}, "minilm", 384, "small", "wise")]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (errors.LocalStackError("port 8103 is taken by x (pid 7)"), 1, "taken by x (pid 7)"),
        (errors.StorageError("/full: no space left on device"), 1, "no space left"),
        (KeyboardInterrupt(), 130, "Interrupted"),
    ],
)
def test_an_up_that_fails(
    fake: Stack,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    said: str,
) -> None:
    """One message, the contract's exit code, and no profile of a stack that is not there."""
    fake.error = error
    assert boundary.run(["local", "up"]) == code
    assert said in capsys.readouterr().err
    assert "local" not in sessions.Sessions(tmp_path).profiles.names()


def test_a_terminated_up_is_an_interrupted_one(fake: Stack) -> None:
    """SIGTERM during up cleans up like a Ctrl-C, and afterwards means what it meant before."""
    before = signal.getsignal(signal.SIGTERM)

    def terminate(_: Event) -> None:
        signal.raise_signal(signal.SIGTERM)

    fake.up = lambda wish, tell: terminate(Event("", "")) or PROFILE  # type: ignore[method-assign]
    assert boundary.run(["local", "up"]) == 130
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    "args",
    [
        ["local", "up", "--embeddings", "gpt"],
        ["local", "up", "--medplum-port", "0"],
        ["local", "up", "--medplum-port", "65536"],
        ["local", "up", "--format", "env"],
        ["local", "status", "--format", "yaml"],
        ["local", "logs", "redis"],
        ["local", "logs", "-n", "-1"],
    ],
)
def test_usage(fake: Stack, args: list[str]) -> None:
    """What cannot be asked is a usage error, and nothing is started."""
    assert boundary.run(args) == 64
    assert fake.wishes == []


def test_status(fake: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """Status in the contract's shape."""
    assert boundary.run(["local", "status", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "services": [
            {
                "name": "postgres",
                "url": "postgresql://127.0.0.1:5433/medbots",
                "pid": 71,
                "healthy": True,
            },
            {"name": "models", "url": "http://127.0.0.1:8080", "pid": 72, "healthy": False},
            {"name": "medplum", "url": "http://localhost:8103/", "pid": None, "healthy": False},
        ]
    }


def test_status_in_words(fake: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """The table tells healthy, unhealthy and stopped apart."""
    assert boundary.run(["local", "status"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "://" in line]
    assert [row[:2] for row in rows] == [
        ["postgres", "healthy"],
        ["models", "unhealthy"],
        ["medplum", "stopped"],
    ]


def test_exports_survive_a_shell(fake: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """--format env prints exports that a shell takes literally."""
    assert boundary.run(["local", "status", "--format", "env"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "export MEDPLUM_BASE_URL=http://localhost:8103/",
        """export MEDPLUM_PASSWORD='it'"'"'s $HOME'""",
        "export MEDPLUM_PROJECT='Local Clinic'",
    ]


def test_logs(fake: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """The last lines of each service, redacted, or of one."""
    for name in ("postgres", "models"):
        log = fake.layout.log(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"first\n{name} says password=plant\n")
    assert boundary.run(["local", "logs", "-n", "1"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "postgres  postgres says password [REDACTED]",
        "models    models says password [REDACTED]",
    ]
    assert boundary.run(["local", "logs", "models", "-n", "1", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "lines": [{"service": "models", "line": "models says password [REDACTED]"}]
    }


@pytest.mark.parametrize("runs", [True, False])
def test_down(fake: Stack, capsys: pytest.CaptureFixture[str], runs: bool) -> None:
    """Down says what it stopped, or that nothing runs; both are fine."""
    fake.runs = runs
    assert boundary.run(["local", "down"]) == 0
    assert capsys.readouterr().err == ("medplum   stopped\n" if runs else "nothing runs\n")


def test_reset_needs_a_yes(fake: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal nothing is deleted; folder and size are named all the same."""
    fake.layout.root.mkdir()
    assert boundary.run(["local", "reset"]) == 64
    err = capsys.readouterr().err
    assert f"this deletes {fake.layout.root} (48.1 MB)" in err
    assert "hint: --yes" in err
    assert fake.did == []


def test_reset(fake: Stack, tmp_path: Path) -> None:
    """With --yes the stack goes, and its profile with it."""
    fake.layout.root.mkdir()
    assert boundary.run(["local", "up"]) == 0
    assert "local" in sessions.Sessions(tmp_path).profiles.names()
    assert boundary.run(["local", "reset", "--yes"]) == 0
    assert fake.did == ["reset"]
    assert "local" not in sessions.Sessions(tmp_path).profiles.names()


def test_reset_asks(fake: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a terminal the answer no changes nothing: exit 1."""
    fake.layout.root.mkdir()
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(typer, "confirm", lambda *_, **__: False)
    assert boundary.run(["local", "reset"]) == 1
    assert fake.did == []


def test_reset_of_nothing(fake: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is no stack, there is nothing to ask."""
    assert boundary.run(["local", "reset"]) == 0
    assert "there is no local stack" in capsys.readouterr().err
    assert fake.did == []
