"""Base URLs of servers: one spelling, and whether they stay on this machine."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit, urlunsplit


def normal(text: str) -> str:
    """Return a base URL in its one spelling: lower-case scheme and host, one final slash.

    Raises:
        ValueError: it is no base URL; the message says why, and repeats no password.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise ValueError("it is not a URL") from None
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise ValueError("it must be a URL that begins with https:// or http://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("it must not hold a user name or a password")
    if parts.query or parts.fragment:
        raise ValueError("it must not have a query or a fragment")
    if any(character.isspace() for character in parts.netloc + parts.path):
        raise ValueError("it must not hold a space")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default = {"http": 80, "https": 443}[parts.scheme.lower()]
    netloc = host if port in (None, default) else f"{host}:{port}"
    return urlunsplit((parts.scheme.lower(), netloc, parts.path.rstrip("/") + "/", "", ""))


def host(url: str) -> str:
    """Return host and port as a person would name them."""
    return urlsplit(url).netloc.rpartition("@")[2]


def is_loopback(url: str) -> bool:
    """Whether what is sent to `url` stays on this machine."""
    name = (urlsplit(url).hostname or "").rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def proxied(url: str) -> bool:
    """Whether the environment names a proxy for what is sent to `url`."""
    from urllib import request  # noqa: PLC0415 - only for the words of a failure

    parts = urlsplit(url)
    named = request.getproxies()
    there = named.get(parts.scheme) or named.get("all")
    return bool(there) and not is_loopback(url) and not request.proxy_bypass(parts.hostname or "")
