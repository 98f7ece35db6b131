"""Brings the local stack up and down, and tells how it is."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medbots import errors, files, secret
from medbots.local import allotment, logs, service, signals, stack, stackfile

_POLL_SECONDS = 0.03
_PROGRESS_SECONDS = 5.0
_FOLDER_MODE = 0o711 if os.name == "posix" and os.geteuid() == 0 else 0o700
"""Root's Postgres runs as `nobody`, who must pass through to the one folder that is its own."""
_UNWELL_SECONDS = 3.0
"""How long a service that runs may stay silent before it is started anew."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a service."""

    service: str
    what: str
    """`running`, `starting`, `waiting`, `healthy`, `stopping`, `stopped` or `note`."""
    detail: str = ""
    seconds: float = 0.0


_OTHER_ENGINE = (
    "the vectors in the database were made by another engine, under the same name: searches mix "
    "them up until the records are embedded anew (or the stack is reset)"
)

Tell = Callable[[Event], None]
"""Takes each event at once. A callback and no iterator: whatever happens to the caller, what was
started is stopped before the error leaves `up`."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked of the stack; None and missing: as it was, or as it is usual."""

    ports: Mapping[str, int] | None = None
    embeddings: str | None = None
    dimension: int | None = None
    alias: str | None = None
    chat_alias: str | None = None
    timeout: float = 90.0
    """Seconds for all services together to become healthy."""


class Supervisor:
    """The stack below one folder."""

    def __init__(self, root: Path, preferred: Mapping[str, int] = stack.PREFERRED) -> None:
        """Describe a stack; nothing is touched yet. `preferred` ports are taken when free."""
        self.layout = stack.Layout(root)
        self._preferred = preferred

    def up(self, wish: Wish, tell: Tell) -> dict[str, str]:
        """Start what does not run, and return the settings that reach the stack.

        What this call started is stopped again when it fails or is interrupted.

        Raises:
            errors.LocalStackError: a port is taken, a part is missing, a service failed.
            errors.StorageError: the state folder cannot be written.
        """
        stack.require_platform()
        files.make_folder(self.layout.root, _FOLDER_MODE)
        with self._alone():
            content = self._settle(wish, tell)
            services = stack.services(self.layout, content)
            started: list[service.Service] = []
            try:
                for one in services.values():
                    if not self._keep(one, tell):
                        tell(Event(one.name, "starting", one.url))
                        with signals.deferred():
                            started.append(one)
                            one.start()
                self._wait(started, time.monotonic() + wish.timeout, tell)
            except BaseException:
                with signals.deferred():
                    self._stop(list(reversed(started)), tell)
                raise
            return stack.profile(self.layout, content)

    def status(self) -> list[service.Status]:
        """Look at every service; an empty list where there is no stack."""
        return [service.status(one) for one in self._services().values()]

    def profile(self) -> dict[str, str]:
        """Return the settings that reach the stack.

        Raises:
            errors.LocalStackError: there is no stack.
        """
        return stack.profile(self.layout, self._known())

    def importer(self) -> tuple[str, secret.Secret]:
        """Return id and secret of the project's client application.

        Raises:
            errors.LocalStackError: there is no stack.
        """
        known = self._known().credentials
        return known.client_id, secret.Secret(known.client_secret)

    def logs(self) -> dict[str, Path]:
        """Return the log file of each service."""
        return {name: one.log for name, one in self._services().items()}

    def down(self, tell: Tell) -> bool:
        """Stop every service, the database last; return whether any ran."""
        if not self.layout.root.exists():
            return False
        with self._alone():
            return self._stop(list(reversed(self._services().values())), tell)

    def size(self) -> int:
        """Return the bytes that `reset` would delete."""
        folders = [self.layout.root]
        for one in self._whatever_there_is().values():
            folders += one.places()
        paths = {path for folder in folders for path in folder.rglob("*") if path.is_file()}
        return sum(logs.size(path) for path in paths)

    def reset(self, tell: Tell) -> None:
        """Stop every service and delete everything of the stack: data, credentials, logs."""
        with self._alone():
            services = self._whatever_there_is()
            self._stop(list(reversed(services.values())), tell)
            for one in services.values():
                one.remove()
            with files.translated(self.layout.root):
                shutil.rmtree(self.layout.root)

    def _known(self) -> stackfile.Stackfile:
        content = self._content()
        if content is None:
            raise errors.LocalStackError("there is no local stack yet", hint="medbots local up")
        return content

    def _settle(self, wish: Wish, tell: Tell) -> stackfile.Stackfile:
        """Return what the stack shall be, and remember it."""
        known = self._content() or stackfile.Stackfile()
        models = known.models.changed(wish.embeddings, wish.dimension, wish.alias, wish.chat_alias)
        if not known.ports:
            # A stack that is new has had no other model.
            models = replace(models, former={})
        ours = self._ports_in_use(known)
        chosen = allotment.ports_for(
            stack.SERVICES, known.ports, wish.ports or {}, self._preferred, ours
        )
        for moved in chosen.moved:
            tell(Event(moved.service, "note", moved.told))
        if known.ports and models.embeddings != known.models.embeddings:
            tell(Event(stack.MODELS, "note", _OTHER_ENGINE))
        content = replace(known, ports=chosen.ports, models=models)
        if content != known:
            self._stop_moved(known, content, tell)
            stackfile.save(self.layout.stackfile, content)
        return content

    def _ports_in_use(self, known: stackfile.Stackfile) -> set[int]:
        if set(known.ports) != set(stack.SERVICES):
            return set()
        live = stack.services(self.layout, known)
        return {known.ports[name].number for name, one in live.items() if one.pid() is not None}

    def _stop_moved(
        self, known: stackfile.Stackfile, content: stackfile.Stackfile, tell: Tell
    ) -> None:
        """Stop a service whose port changes, while it is still known where it is."""
        if set(known.ports) != set(stack.SERVICES):
            return
        live = stack.services(self.layout, known)
        moved = [
            one
            for name, one in reversed(live.items())
            if known.ports[name].number != content.ports[name].number
        ]
        self._stop(moved, tell)

    def _keep(self, one: service.Service, tell: Tell) -> bool:
        """Return whether a service runs as it should; stop one that does not."""
        if one.pid() is None:
            return False
        if one.is_current():
            deadline = time.monotonic() + _UNWELL_SECONDS
            while True:
                if one.is_healthy():
                    tell(Event(one.name, "running", one.url))
                    return True
                if time.monotonic() > deadline:
                    break
                time.sleep(_POLL_SECONDS)
        self._stop([one], tell)
        return False

    def _wait(self, started: Sequence[service.Service], deadline: float, tell: Tell) -> None:
        began = time.monotonic()
        waiting = list(started)
        told = began
        while waiting:
            for one in [each for each in waiting if each.is_ready()]:
                waiting.remove(one)
                tell(Event(one.name, "healthy", one.url, time.monotonic() - began))
                for note in one.notes:
                    tell(Event(one.name, "note", note))
            now = time.monotonic()
            if waiting and now > deadline:
                raise _late(waiting[0], now - began)
            if waiting and now - told > _PROGRESS_SECONDS:
                told = now
                for one in waiting:
                    tell(Event(one.name, "waiting", one.url, now - began))
            if waiting:
                time.sleep(_POLL_SECONDS)

    def _stop(self, services: Sequence[service.Service], tell: Tell) -> bool:
        """Stop services in this order, every one whatever happens to the others."""
        ran = False
        failures: list[errors.MedbotsError] = []
        for one in services:
            began = time.monotonic()
            try:
                if one.stop():
                    ran = True
                    tell(Event(one.name, "stopped", one.url, time.monotonic() - began))
            except errors.MedbotsError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return ran

    def _content(self) -> stackfile.Stackfile | None:
        return stackfile.load(self.layout.stackfile)

    def _services(self) -> dict[str, service.Service]:
        content = self._content()
        return stack.services(self.layout, content) if content else {}

    def _whatever_there_is(self) -> dict[str, service.Service]:
        """Return the services of a stack whose file may be broken: their processes are known."""
        try:
            return self._services()
        except errors.LocalStackError:
            unknown = {name: stackfile.Port(0) for name in stack.SERVICES}
            return stack.services(self.layout, stackfile.Stackfile(ports=unknown))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the stack's lock: a second `up`, `down` or `reset` is refused, not queued."""
        import fcntl  # noqa: PLC0415  (not on Windows)

        with files.translated(self.layout.lock):
            handle = os.open(self.layout.lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise errors.LocalStackError(
                    "another medbots command is changing this stack right now",
                    hint="wait for it; then: medbots local status",
                ) from None
            yield
        finally:
            os.close(handle)


def _late(one: service.Service, seconds: float) -> errors.LocalStackError:
    said = "\n".join(f"  {line}" for line in logs.tail(one.log, 5))
    return errors.LocalStackError(
        f"{one.name} was not ready after {seconds:.0f} s:\n{said}",
        hint=f"medbots local logs {one.name}",
    )
