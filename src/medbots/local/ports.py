"""Ports of the loopback interface: which are free, and who holds one that is not."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Collection

HOST = "127.0.0.1"
_CONNECT_SECONDS = 0.3


def is_free(port: int) -> bool:
    """Return whether a server could listen on this port of the loopback interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            return False
    # macOS lets one address be bound beside a server that listens on all of them.
    return not answers(port)


def answers(port: int) -> bool:
    """Return whether something accepts connections there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(_CONNECT_SECONDS)
        return probe.connect_ex((HOST, port)) == 0


def any_free(taken: Collection[int] = ()) -> int:
    """Return a free port that is none of `taken`."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port


def holder(port: int) -> str:
    """Return who listens on a port, as `name (pid N)`, where the system tells us; else nothing."""
    try:
        import psutil  # noqa: PLC0415
    except ImportError:
        return ""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return f"{process.name()} (pid {process.pid})"
    return ""
