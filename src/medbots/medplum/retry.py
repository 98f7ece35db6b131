"""When a request is sent again, and after how long."""

from __future__ import annotations

import email.utils
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

TRANSIENT = frozenset({429, 502, 503, 504})
"""Statuses that say nothing about the request itself."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How often and how patiently a request is repeated."""

    attempts: int = 4
    """In all, the first one included."""
    base: float = 0.3
    """Seconds before the second attempt, doubled before each further one."""
    longest: float = 65.0
    """Seconds at most before one attempt; Medplum's quotas reopen within a minute."""
    jitter: Callable[[], float] = field(default=random.random)

    def pause(self, attempt: int, asked: float | None = None) -> float | None:
        """Return the seconds to wait after attempt number `attempt`; None: give up.

        `asked` is what the server asked for. Without it the time grows exponentially and is
        spread, so that clients that failed together do not return together.
        """
        if attempt >= self.attempts or (asked is not None and asked > self.longest):
            return None
        if asked is not None:
            return asked + self.jitter() * self.base
        return min(self.longest, self.base * 2.0 ** (attempt - 1) * (0.5 + self.jitter() / 2))


def repeatable(method: str, status: int, *, conditional: bool, asked: float | None) -> bool:
    """Whether a request that was answered with `status` may be sent again.

    A read may always be repeated. A write only where the server did nothing: it was rate
    limited, turned away at the door (503 with Retry-After), or lost a race for the same
    resource (409, where a repetition cannot create a second one).
    """
    if method == "GET":
        return status in TRANSIENT
    if status == 409:  # noqa: PLR2004
        return conditional or method in ("PUT", "PATCH", "DELETE")
    return status == 429 or (status == 503 and asked is not None)  # noqa: PLR2004


def asked_pause(retry_after: str | None, rate_limits: list[str], status: int) -> float | None:
    """Return the seconds that the server asks to wait; None: it does not say.

    `rate_limits` are the RateLimit headers, such as `"requests";r=0;t=57`. Medplum sends one
    for each of its quotas, and no Retry-After; the one that is used up counts.
    """
    if retry_after is not None:
        return _retry_after(retry_after)
    if status != 429:  # noqa: PLR2004
        return None
    quotas = [
        (int(left), float(reopens))
        for header in rate_limits
        for left, reopens in re.findall(r";\s*r=(\d+)\s*;\s*t=(\d+)", header)
    ]
    used_up = [reopens for left, reopens in quotas if left == 0]
    return max(used_up or [reopens for _, reopens in quotas], default=None)


def _retry_after(text: str) -> float | None:
    """Read Retry-After, which is a number of seconds or a date."""
    if text.strip().isdigit():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return max(0.0, moment.timestamp() - time.time())
