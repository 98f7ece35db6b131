"""Points in time on the command line: `1h` ago, a date, or an instant."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from medbots import errors

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"([0-9]{1,6})([smhdw])")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def past(flag: str, text: str | None, *, whole_day: bool = False) -> datetime | None:
    """Return the moment that was given for `flag`, in UTC; None where none was.

    A time without a zone is this machine's.

    Args:
        flag: as it stands on the command line.
        text: such as `30m`, `7d`, `2026-03-01` or `2026-03-01T08:00+01:00`.
        whole_day: a date means the end of that day, not its start.

    Raises:
        errors.UsageError: it is none of these.
    """
    if text is None:
        return None
    given = text.strip()
    ago = _AGO.fullmatch(given)
    try:
        if ago:
            return datetime.now(UTC) - timedelta(**{_UNITS[ago.group(2)]: int(ago.group(1))})
        found = datetime.fromisoformat(given)
        if whole_day and _DATE.fullmatch(given):
            found += timedelta(days=1)
        return found.astimezone(UTC)
    except (ValueError, OverflowError, OSError) as exc:
        raise errors.UsageError(
            f"{flag} {text!r} is no point in time",
            hint=f"{flag} 2h, or 7d, or 2026-03-01, or 2026-03-01T08:00+01:00",
        ) from exc


def gone_by(flag: str, text: str | None) -> datetime | None:
    """Return the moment that was given for `flag`, as `past` does, which must not lie ahead.

    Raises:
        errors.UsageError: it is no point in time, or one to come, after which nothing is yet.
    """
    found = past(flag, text)
    if found is not None and found > datetime.now(UTC):
        raise errors.UsageError(
            f"{flag} {text!r} lies ahead: nothing can have been changed since",
            hint=f"{flag} 2h, or 7d, or a date that has begun",
        )
    return found


def date(flag: str, text: str | None) -> str | None:
    """Return the calendar date that was given for `flag`, as YYYY-MM-DD; None where none was.

    Raises:
        errors.UsageError: it is none.
    """
    if text is None or _is_date(text.strip()):
        return text and text.strip()
    raise errors.UsageError(
        f"{flag} {text!r} is no date of the calendar", hint=f"{flag} 2026-03-01"
    )


def _is_date(text: str) -> bool:
    try:
        return bool(_DATE.fullmatch(text) and datetime.fromisoformat(text))
    except ValueError:
        return False


def local(moment: datetime) -> str:
    """Return a moment as a person here reads it."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def utc(moment: datetime) -> str:
    """Return a moment as a machine reads it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_LENGTHS = ((3, 86_400, "d"), (1, 3_600, "h"), (1, 60, "min"))


def length(span: timedelta) -> str:
    """Return a length of time in whole units, such as `3 h`; days from three on."""
    seconds = abs(span.total_seconds())
    for least, size, unit in _LENGTHS:
        if seconds >= least * size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def distance(moment: datetime, now: datetime) -> str:
    """Return how far a moment is, such as `in 3 h` or `2 d ago`."""
    return f"in {length(moment - now)}" if moment > now else f"{length(now - moment)} ago"
