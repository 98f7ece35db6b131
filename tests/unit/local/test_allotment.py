"""Which port each service gets."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from medbots import errors
from medbots.local import allotment, ports
from medbots.local.stackfile import Port

pytestmark = pytest.mark.enable_socket

SERVICES = ("postgres", "models")


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program listens on: this one."""
    with socket.create_server((ports.HOST, 0)) as listener:
        yield listener.getsockname()[1]


def _numbers(chosen: allotment.Allotment) -> dict[str, int]:
    return {name: port.number for name, port in chosen.ports.items()}


def test_the_usual_port_when_it_is_free(taken: int) -> None:
    """A first start takes the usual ports, and a free one where the usual one is taken."""
    free = ports.any_free()
    chosen = allotment.ports_for(SERVICES, {}, {}, {"postgres": free, "models": taken}, ())
    numbers = _numbers(chosen)
    assert numbers["postgres"] == free
    assert numbers["models"] not in (free, taken)
    assert not any(port.given for port in chosen.ports.values())
    assert chosen.moved == ()


def test_a_remembered_port_stays() -> None:
    """A later start takes the same ports again."""
    before = {"postgres": Port(ports.any_free()), "models": Port(ports.any_free(), given=True)}
    assert allotment.ports_for(SERVICES, before, {}, {}, ()).ports == before


def test_a_port_that_is_ours_is_not_taken(taken: int) -> None:
    """What our own live service listens on counts as its port."""
    before = {"postgres": Port(taken), "models": Port(ports.any_free())}
    assert allotment.ports_for(SERVICES, before, {}, {}, {taken}).ports == before


def test_a_found_port_that_is_taken_is_replaced_aloud(taken: int) -> None:
    """A port that nobody asked for is exchanged, and what depends on it is named."""
    before = {"postgres": Port(taken), "models": Port(ports.any_free())}
    chosen = allotment.ports_for(SERVICES, before, {}, {}, ())
    assert chosen.ports["postgres"].number != taken
    (moved,) = chosen.moved
    assert moved.service == "postgres"
    assert f"port {taken} is taken by" in moved.told
    assert f"(pid {os.getpid()})" in moved.told
    assert "db init and deploy again" in moved.told


@pytest.mark.parametrize("remembered", [True, False])
def test_a_named_port_that_is_taken_is_an_error(taken: int, remembered: bool) -> None:
    """A port that a person named, now or before, is never exchanged; its holder is named."""
    named = {"models": Port(taken, given=True)} if remembered else {}
    wanted = {} if remembered else {"models": taken}
    with pytest.raises(errors.LocalStackError) as caught:
        allotment.ports_for(SERVICES, named, wanted, {}, ())
    assert f"port {taken}, wanted for models, is taken by" in caught.value.message
    assert f"(pid {os.getpid()})" in caught.value.message
    assert caught.value.hint == "medbots local up --models-port PORT"


def test_one_port_for_two_services() -> None:
    """Two services cannot be given the same port."""
    port = ports.any_free()
    with pytest.raises(errors.UsageError, match=str(port)):
        allotment.ports_for(SERVICES, {}, {"postgres": port, "models": port}, {}, ())


def test_a_named_port_is_kept_free_for_its_service() -> None:
    """A service that comes earlier does not get the port that is named for a later one."""
    port = ports.any_free()
    chosen = allotment.ports_for(SERVICES, {}, {"models": port}, {"postgres": port}, ())
    assert _numbers(chosen)["models"] == port
    assert _numbers(chosen)["postgres"] != port
    assert chosen.ports["models"].given
