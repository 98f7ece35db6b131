"""When a request is repeated, and after how long."""

from __future__ import annotations

import email.utils
import time

import pytest

from medbots.medplum import retry

STILL = retry.Policy(attempts=4, base=0.3, jitter=lambda: 1.0)


def test_pauses_grow_and_end() -> None:
    """Each pause is twice the one before, and the last attempt is the last."""
    assert [STILL.pause(attempt) for attempt in (1, 2, 3, 4)] == [0.3, 0.6, 1.2, None]


def test_pauses_are_spread() -> None:
    """Clients that failed together do not return together: a pause varies by half."""
    early = retry.Policy(base=0.3, jitter=lambda: 0.0)
    assert early.pause(2) == pytest.approx(0.3)
    assert STILL.pause(2) == pytest.approx(0.6)


def test_server_is_obeyed_within_bounds() -> None:
    """What the server asks for is waited, but never more than about a minute."""
    asked = retry.Policy(jitter=lambda: 0.0).pause(1, 57.0)
    assert asked == 57.0
    assert STILL.pause(1, 3600.0) is None
    assert STILL.pause(4, 1.0) is None


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_reads_are_repeated(status: int) -> None:
    """A GET is repeated whatever the server's passing trouble."""
    assert retry.repeatable("GET", status, conditional=False, asked=None)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 409, 412, 500])
def test_answers_are_not_repeated(status: int) -> None:
    """An answer about the request itself would be the same again."""
    assert not retry.repeatable("GET", status, conditional=False, asked=None)


@pytest.mark.parametrize(
    ("method", "status", "conditional", "asked", "again"),
    [
        ("POST", 429, False, None, True),
        ("POST", 503, False, 2.0, True),
        ("POST", 503, False, None, False),
        ("POST", 502, False, 2.0, False),
        ("POST", 504, False, None, False),
        ("POST", 409, False, None, False),
        ("POST", 409, True, None, True),
        ("PUT", 409, False, None, True),
        ("PATCH", 409, False, None, True),
        ("DELETE", 409, False, None, True),
        ("PUT", 412, False, None, False),
        ("PUT", 502, False, None, False),
        ("PATCH", 500, False, None, False),
    ],
)
def test_writes_are_repeated_only_where_nothing_was_done(
    method: str, status: int, *, conditional: bool, asked: float | None, again: bool
) -> None:
    """A write is sent again when it was turned away or lost a race, and only then."""
    assert retry.repeatable(method, status, conditional=conditional, asked=asked) is again


@pytest.mark.parametrize(
    ("retry_after", "limits", "status", "seconds"),
    [
        ("7", [], 503, 7.0),
        ("7", ['"requests";r=0;t=57'], 429, 7.0),
        (None, ['"requests";r=0;t=57'], 429, 57.0),
        (None, ['"requests";r=12;t=57', '"fhirInteractions";r=0;t=33'], 429, 33.0),
        (None, ['"requests";r=12;t=57, "fhirInteractions";r=0;t=33'], 429, 33.0),
        (None, ['"requests";r=12;t=57'], 429, 57.0),
        (None, ['"requests";r=0;t=57'], 503, None),
        (None, [], 429, None),
        (None, ["nonsense"], 429, None),
        ("soon", [], 503, None),
    ],
)
def test_what_the_server_asks(
    retry_after: str | None, limits: list[str], status: int, seconds: float | None
) -> None:
    """Retry-After counts; else, on 429, the quota that is used up."""
    assert retry.asked_pause(retry_after, limits, status) == seconds


def test_retry_after_as_a_date() -> None:
    """A date is as good as seconds, and one that has passed asks for no pause."""
    soon = email.utils.formatdate(time.time() + 20, usegmt=True)
    assert retry.asked_pause(soon, [], 503) == pytest.approx(20, abs=2)
    assert retry.asked_pause("Wed, 21 Oct 2015 07:28:00 GMT", [], 503) == 0.0
