"""What is never shown: passwords in URLs, also in those that are not written as they should be."""

from __future__ import annotations

import pytest

from medbots import secret


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:hunter2@h:1/x?token=hunter2", "https://me:[REDACTED]@h:1/x"),
        ("at postgresql://me:hunter2@h/d?x=1", "at postgresql://me:[REDACTED]@h/d"),
        ("postgresql://me:hunter2/hunter2@h:1/d", "postgresql://me:[REDACTED]@h:1/d"),
        ("postgres://me:hunter2@hunter2@h/d", "postgres://me:[REDACTED]@h/d"),
        ("postgres://me:hunter2#hunter2?hunter2@h/d", "postgres://me:[REDACTED]@h/d"),
        ("postgresql://me@h:5432/d", "postgresql://me@h:5432/d"),
        ("https://h:8443/@user/page", "https://h:8443/@user/page"),
        ("Authorization: Bearer hunter2.hunter2", "Authorization: Bearer [REDACTED]"),
    ],
)
def test_redact(text: str, shown: str) -> None:
    """A person still sees where it leads, and who logs in there."""
    assert secret.redact(text) == shown
