"""A cable to a server that can be cut and mended: as its restart looks from here."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

_BYTES = 65_536


class Cable:
    """Forwards what comes to its own port, unless it is cut."""

    def __init__(self, url: str) -> None:
        """Lead to a server, by plain HTTP."""
        parts = urlsplit(url)
        self._target = (parts.hostname or "localhost", parts.port or 80)
        self._port = 0
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []
        self.mend()

    @property
    def url(self) -> str:
        """What takes the place of the server's address."""
        return f"http://127.0.0.1:{self._port}/"

    def mend(self) -> None:
        """Connect, on the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Refuse new connections, and end those that there are."""
        for one in (self._listener, *self._open):
            if one is not None:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
        self._listener, self._open = None, []

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(self._target)
                self._open += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=_pump, args=pair, daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while block := source.recv(_BYTES):
            sink.sendall(block)
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def to(url: str) -> Iterator[Cable]:
    """Lay a cable, and take it away."""
    cable = Cable(url)
    try:
        yield cable
    finally:
        cable.cut()
