"""Where patient text may go: the rule of the bots (`lib/phi-route.ts`), for what goes from here."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from medbots import errors

SETTING = "LLM_PHI_ALLOWED_HOSTS"

_INSIDE = tuple(
    ipaddress.ip_network(one)
    for one in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
"""A last label that makes a host an IPv4 address, in whatever way it is written."""


def require(url: str, allowed_hosts: str | None) -> None:
    """Raise unless patient text may be sent to the router at `url`.

    Allowed are the hosts of `LLM_PHI_ALLOWED_HOSTS` (separated by commas, `host` or `host:port`);
    without it, a host that is loopback, a private address or a name without a dot.

    Raises:
        errors.NotAllowedError: the host is none of these, or the URL holds more than a place.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    if parts.username or parts.password or parts.query or parts.fragment or not host:
        raise errors.NotAllowedError(
            "LLM_ROUTER_URL must hold no user, password, query or fragment where patient text "
            "goes there",
            hint="set LLM_ROUTER_URL to the router's plain address",
        )
    shown = f"[{host}]" if ":" in host else host
    if parts.port not in (None, _DEFAULT_PORTS.get(parts.scheme)):
        shown = f"{shown}:{parts.port}"
    if allowed_hosts:
        allowed = {one.strip() for one in allowed_hosts.lower().split(",")}
        permitted = not allowed.isdisjoint({shown, f"[{host}]" if ":" in host else host})
    else:
        permitted = _is_inside(host)
    if not permitted:
        why, change = "outside the private network, and there is no", f"set {SETTING}={shown}"
        if allowed_hosts:
            # The list itself is a secret of the project.
            why, change = "not among", f"add {shown} to {SETTING}"
        raise errors.NotAllowedError(
            f"patient text may not be sent to {shown}: it is {why} {SETTING}",
            hint=f"if this router may have patient data, {change}; medbots deploy makes it the "
            "project's secret",
        )


def _is_inside(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # 134744072 is 8.8.8.8 to whoever resolves it.
        if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
            return False
        return "." not in host or host.endswith(".localhost")
    return any(address in network for network in _INSIDE)
