"""Ports of the loopback interface."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from medbots.local import ports

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that this process listens on."""
    with socket.create_server((ports.HOST, 0)) as listener:
        yield listener.getsockname()[1]


def test_a_port_that_is_listened_on_is_not_free(taken: int) -> None:
    """It is taken, it answers, and its holder is named."""
    assert not ports.is_free(taken)
    assert ports.answers(taken)
    assert f"(pid {os.getpid()})" in ports.holder(taken)


def test_a_server_on_all_addresses_takes_the_port() -> None:
    """A server that listens on every interface holds the port of the loopback one too."""
    with socket.create_server(("", 0)) as listener:
        assert not ports.is_free(listener.getsockname()[1])


def test_any_free() -> None:
    """What is called free is free, is none of those to be avoided, and nobody holds it."""
    port = ports.any_free()
    assert ports.is_free(port)
    assert not ports.answers(port)
    assert ports.holder(port) == ""
    assert ports.any_free({port}) != port


@pytest.mark.parametrize("port", [-1, 65536])
def test_no_port(port: int) -> None:
    """A number that is no port is not free."""
    assert not ports.is_free(port)
