"""Whose words may be shown, and what is a code: held to the bots' own sources."""

from __future__ import annotations

import pytest

from medbots import assets, manifest
from medbots.bots import trail, words


def _listed(file: str, start: str) -> set[str]:
    """The quoted words of a list in the bots' sources."""
    text = (assets.bot_templates() / "src/lib" / file).read_text()
    part = text.partition(start)[2].partition(";")[0]
    return set(part.split("'")[1::2])


def test_the_types_are_the_bots_types() -> None:
    """Every type that a bot writes can be asked for."""
    assert _listed("audit.ts", "AUDIT_TYPES =") == set(trail.TYPES)


def test_the_codes_are_the_bots_codes() -> None:
    """Every code of the bots' contract is known as one."""
    assert _listed("failure.ts", "ErrorCode =") == words.CODES - {"AUDIT_FAILED"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("DB_ERROR", "DB_ERROR"),
        ("DB_ERROR: it is away", "DB_ERROR"),
        ("INVALID_INPUT 1b9d", "INVALID_INPUT"),
        ("HIV positive", None),
        ("DB_ERRORS", None),
        ("the DB_ERROR", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_a_code_is_one_of_the_contract(text: object, code: str | None) -> None:
    """Capital letters alone are no code: they may be a diagnosis."""
    assert words.code(text) == code


@pytest.mark.parametrize(
    ("key", "details", "rule"),
    [
        ("approval-queue", {"reason": "OWN_COMMAND"}, "OWN_COMMAND"),
        ("approval-queue", {"reason": "expired in May"}, ""),
        ("approval-queue", {"reason": None}, ""),
        ("approval-queue", {}, ""),
        ("approval-queue", None, ""),
        ("approval-queue", "OWN_COMMAND", ""),
        ("own", {"reason": "OWN_COMMAND"}, ""),
    ],
)
def test_a_rule_is_a_code_of_our_own_bots(key: str, details: object, rule: str) -> None:
    """Words are no rule, and another bot's capitals may be a diagnosis."""
    assert words.rule(key, details) == rule


def test_the_packaged_bots_are_known() -> None:
    """The words of every bot that ships may be shown, and of no other."""
    packaged = {bot.key for bot in manifest.load(assets.bot_templates()).bots}
    assert packaged == set(words.SHIPPED)
    assert not words.harmless("own")
