"""The login, its rights, and who else has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medbots import check
from medbots.checks import family as family_module
from medbots.checks import target as target_module

_SHOWN = 5
"""How many memberships are named; more are counted."""

family = family_module.Family("login", "The login")


@family.define("login.valid", needs=("medplum.reachable",))
async def valid(target: target_module.Target) -> check.Result:
    """Logging in works.

    Proves: the credentials of this run, or the stored session, give a token for one project.

    Fails: when there are no credentials, when the server refuses them, or when the login has
    several projects and none is chosen.

    Cure: `medbots login`, or set `MEDPLUM_EMAIL` and `MEDPLUM_PASSWORD`, or `MEDPLUM_CLIENT_ID`
    and `MEDPLUM_CLIENT_SECRET`; choose a project by `MEDPLUM_PROJECT`.
    """
    client = await target.client()
    return check.passed(f"{client.user} in project {client.project.name!r}")


@family.define("login.rights", needs=("login.valid",))
async def rights(target: target_module.Target) -> check.Result:
    """The login is an admin of its project.

    Proves: the login may see and make memberships and secrets, so that what the other checks
    cannot see is really missing.

    Fails: for a member who is no project admin, such as the client that `Project/$init` makes.

    Cure: log in as a project admin, or let one make this membership an admin.
    """
    client = await target.client()
    expected = "project admin"
    if client.rights.super_admin:
        return check.passed("super admin", expected)
    if client.rights.admin:
        return check.passed(expected, expected)
    return check.failed(
        f"a member without admin rights in {client.project.name!r}",
        expected,
        "log in as a project admin: medbots login",
    )


@family.define(
    "login.policies", severity=check.Severity.WARNING, needs=("login.valid", "login.rights")
)
async def policies(target: target_module.Target) -> check.Result:
    """Every member who is no admin has an AccessPolicy.

    Proves: nobody but admins can replace a bot's code. A member without an AccessPolicy can
    `$deploy` over any bot of the project, whose code then runs as that bot and reads every
    project secret, and can delete AuditEvents.

    Fails: as a warning, for every such membership of a person or a client.

    Cure: give the memberships that are named an AccessPolicy, in the Medplum app under Project,
    Members.
    """
    free = [
        f"ProjectMembership/{member['id']} ({_kind(member)})"
        for member in await target.members()
        if _unrestricted(member)
    ]
    if not free:
        return check.passed("all have one", "an AccessPolicy for every member but admins")
    named = ", ".join(free[:_SHOWN])
    more = f" and {len(free) - _SHOWN} more" if len(free) > _SHOWN else ""
    return check.warned(
        f"{len(free)} without: {named}{more}; they can replace any bot's code and read its secrets",
        "an AccessPolicy for every member but admins",
        "give each an AccessPolicy in the Medplum app: Project, Members",
    )


def _unrestricted(member: Mapping[str, Any]) -> bool:
    """Bots are members too, but what they may do is the business of `bots.….policy`."""
    return not (
        member.get("admin")
        or member.get("accessPolicy")
        or member.get("access")
        or _kind(member) == "Bot"
    )


def _kind(member: Mapping[str, Any]) -> str:
    """Return who is a member: the type of the profile, and never its id, which may be a patient."""
    reference = (member.get("profile") or {}).get("reference") or ""
    return str(reference.partition("/")[0] or "no profile")
