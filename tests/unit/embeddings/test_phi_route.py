"""Patient text leaves for the private network alone, or for the hosts that were named."""

from __future__ import annotations

import pytest

from medbots import errors
from medbots.embeddings import phi_route


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8080",
        "http://llm.localhost",
        "http://127.0.0.1:4000",
        "http://[::1]:4000",
        "http://10.1.2.3",
        "http://172.31.0.1",
        "http://192.168.1.1",
        "http://[fd12:3456::1]",
        "http://[fe80::1]",
        "http://llm-gateway:4000/base",
    ],
)
def test_inside(url: str) -> None:
    """Loopback, private addresses and bare service names need no permission."""
    phi_route.require(url, None)
    phi_route.require(url, "")


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com",
        "http://8.8.8.8",
        "http://172.32.0.1",
        "http://172.15.0.1",
        "http://192.169.1.1",
        "http://169.254.169.254",
        "http://100.64.0.1",
        "http://11.0.0.1",
        "http://[2001:db8::1]",
        "http://[::ffff:8.8.8.8]",
        "http://[::ffff:10.0.0.1]",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        # Names without a dot that whoever connects takes for 8.8.8.8.
        "http://134744072",
        "http://0x08080808",
    ],
)
def test_outside(url: str) -> None:
    """Whatever else stands in the URL is refused, with the variable that would allow it."""
    with pytest.raises(errors.NotAllowedError, match="LLM_PHI_ALLOWED_HOSTS") as caught:
        phi_route.require(url, None)
    assert "LLM_PHI_ALLOWED_HOSTS=" in (caught.value.hint or "")


def test_named_hosts() -> None:
    """A host of the list is allowed, with its port or without, whatever the case."""
    url = "https://llm.hospital.example:8443"
    phi_route.require(url, "other, LLM.hospital.example")
    phi_route.require(url, "llm.hospital.example:8443")
    phi_route.require("https://llm.hospital.example:443", "llm.hospital.example")


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://llm.hospital.example:9", "llm.hospital.example:8443"),
        ("https://evil.llm.hospital.example", "llm.hospital.example"),
        ("http://localhost:8080", "llm.hospital.example"),
    ],
)
def test_beyond_the_list(url: str, allowed: str) -> None:
    """Where there is a list, it alone counts."""
    with pytest.raises(errors.NotAllowedError, match="not among") as caught:
        phi_route.require(url, allowed)
    assert "to LLM_PHI_ALLOWED_HOSTS" in (caught.value.hint or "")
    assert "medbots deploy" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "url", ["http://user:hunter2@localhost", "http://localhost/?key=1", "http://localhost/#x"]
)
def test_more_than_a_place(url: str) -> None:
    """A URL that carries a login or a query is refused, and the password is not repeated."""
    with pytest.raises(errors.NotAllowedError, match="no user") as caught:
        phi_route.require(url, None)
    assert "hunter2" not in caught.value.message
