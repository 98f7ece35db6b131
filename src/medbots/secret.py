"""A value that must never be shown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

REDACTED = "[REDACTED]"


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A secret string: equal by value, shown only by `reveal()`."""

    _value: str = field(repr=False)

    def reveal(self) -> str:
        """Return the value itself, for the one place that sends it."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return f"Secret({REDACTED!r})"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(REDACTED, spec)


_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>]+", re.IGNORECASE)
_TOKENS = re.compile(
    r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"
    r"|\b(password|client_secret|refresh_token|access_token|code_verifier)=[^\s&'\"]+"
)


_DATABASE = re.compile(r"(postgres(?:ql)?://[^:/@?#]*):.*@", re.IGNORECASE)
"""A database URL up to its host, also where the password holds what ends a host in other URLs."""


def redact_url(url: str) -> str:
    """Return `url` with its password replaced and its query removed."""
    if found := _DATABASE.match(url):
        return f"{found[1]}:{REDACTED}@{url[found.end() :].partition('?')[0]}"
    try:
        parts = urlsplit(url)
    except ValueError:
        return REDACTED
    if parts.password is None and not parts.query:
        return url
    host = parts.netloc.rpartition("@")[2]
    user = f"{parts.username or ''}:{REDACTED}@" if parts.password is not None else ""
    if not user and "@" in parts.netloc:
        user = f"{parts.username}@"
    return urlunsplit((parts.scheme, user + host, parts.path, "", parts.fragment))


def redact(text: str) -> str:
    """Return `text` without the passwords, queries and tokens that URLs and headers carry."""
    text = _URL.sub(lambda match: redact_url(match.group()), text)
    return _TOKENS.sub(lambda match: f"{match.group(1) or match.group(2)} {REDACTED}", text)
