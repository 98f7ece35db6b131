"""The check of memberships whose bot is gone."""

from __future__ import annotations

from medbots import check, state
from tests.support.stand import Stand

NAME = "memberships.orphaned"
PASS, WARN, SKIP = check.Status.PASS, check.Status.WARN, check.Status.SKIP


def member(stand: Stand, profile: str) -> str:
    """Make somebody a member; return the ProjectMembership."""
    return stand.clinic.add(
        {"resourceType": "ProjectMembership", "profile": {"reference": profile}}
    )


async def test_each_has_its_bot() -> None:
    """Members that are bots which are there pass, and people are none of its business."""
    stand = Stand()
    member(stand, stand.clinic.add({"resourceType": "Bot"}))
    member(stand, "Practitioner/gone")
    result = (await stand.look(NAME))[NAME]
    assert (result.status, result.observed) == (PASS, "1 bots are members")


async def test_a_deleted_bot_leaves_its_membership() -> None:
    """Both memberships of a bot that is gone are named with their cure, that of another is not."""
    stand = Stand()
    member(stand, stand.clinic.add({"resourceType": "Bot"}))
    first, second = member(stand, "Bot/gone"), member(stand, "Bot/gone")
    result = (await stand.look(NAME))[NAME]
    assert (result.status, result.severity) == (WARN, check.Severity.WARNING)
    assert result.observed == f"2 of deleted bots: {first}, {second}"
    assert result.fix == f"delete {first} and {second}"


async def test_many_are_counted() -> None:
    """A few memberships are named, the rest is counted."""
    stand = Stand()
    for number in range(7):
        member(stand, f"Bot/gone{number}")
    result = (await stand.look(NAME))[NAME]
    assert result.observed.startswith("7 of deleted bots: ")
    assert result.observed.endswith(" and 2 more")
    assert result.fix.count("ProjectMembership/") == 5


async def test_a_bot_that_is_only_hidden_is_not_gone() -> None:
    """What a search does not show is read, and counts as gone only where the server says so."""
    stand = Stand()
    bot = stand.clinic.add({"resourceType": "Bot"})
    stand.clinic.hidden.add(bot)
    member(stand, bot)
    assert (await stand.look(NAME))[NAME].status is PASS


async def test_who_is_no_admin_does_not_look() -> None:
    """Without the right to see memberships the check is skipped, and names that right."""
    stand = Stand()
    stand.clinic.rights = state.Rights()
    result = (await stand.look("login.*", NAME))[NAME]
    assert (result.status, result.reason) == (SKIP, "login.rights failed")
