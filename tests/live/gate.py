"""A proxy before the server that stops one request, to interrupt a run at a known point."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

HOP = {"connection", "transfer-encoding", "content-encoding", "content-length", "host"}
PATIENCE = 90.0
"""Seconds; a server may ask a run to wait for up to a minute."""


class Gate:
    """Lets everything pass but the one request whose answer it keeps back."""

    def __init__(self, url: str, method: str, path: str, number: int) -> None:
        """Stop the `number`th request of a method whose path matches a pattern."""
        self.url = url
        self._method, self._path, self._left = method, re.compile(path), number
        self._lock = threading.Lock()
        self.reached = threading.Event()
        """The server has done what was asked, and nobody was told."""
        self._open = threading.Event()

    def wait(self) -> None:
        """Wait until the request has come."""
        assert self.reached.wait(PATIENCE), f"no {self._method} {self._path.pattern} came"

    def release(self) -> None:
        """Let the answer go."""
        self._open.set()

    def pass_through(self, method: str, path: str) -> None:
        """Keep the answer of the one request back until it is released."""
        with self._lock:
            if method != self._method or not self._path.search(path):
                return
            self._left -= 1
            chosen = self._left == 0
        if chosen:
            self.reached.set()
            self._open.wait(PATIENCE)


@contextmanager
def before(base_url: str, method: str, path: str, number: int = 1) -> Iterator[Gate]:
    """Put a gate before a server; its `url` takes the place of the server's."""
    with httpx.Client(base_url=base_url, timeout=PATIENCE) as client:

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                content = self.rfile.read(length)
                kept = {k: v for k, v in self.headers.items() if k.lower() not in HOP}
                answer = client.request(
                    self.command, self.path.lstrip("/"), content=content, headers=kept
                )
                gate.pass_through(self.command, self.path)
                try:
                    self.send_response(answer.status_code)
                    for name, value in answer.headers.items():
                        if name.lower() not in HOP:
                            self.send_header(name, value)
                    self.send_header("Content-Length", str(len(answer.content)))
                    self.end_headers()
                    self.wfile.write(answer.content)
                except OSError:
                    # Whoever asked is gone: that is what the gate is for.
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = forward  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        gate = Gate(f"http://127.0.0.1:{server.server_port}/", method, path, number)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield gate
        finally:
            gate.release()
            server.shutdown()
            server.server_close()
            thread.join()
