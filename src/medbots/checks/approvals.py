"""The people without whom nothing that a model proposes is ever approved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from medbots import check
from medbots.checks import approvers
from medbots.checks import family as family_module
from medbots.checks import target as target_module

_PAGE = "docs/tutorial/your-own-medplum.md, step 6"


def _where_asked(target: target_module.Target) -> Iterator[tuple[dict[str, str], tuple[()]]]:
    """Only a manifest with a bot that looks at roles has anybody approve."""
    bots = target.manifest.bots
    if any(approvers.SETTING in (*bot.secrets, *bot.optional_secrets) for bot in bots):
        yield {}, ()


family = family_module.Family("approvals", "Approvals: the people", _where_asked)


@family.define("approvals.approvers", severity=check.Severity.WARNING, needs=("login.valid",))
async def somebody(target: target_module.Target) -> check.Result:
    """Somebody may approve.

    Proves: at least one Practitioner who is a member of the project, and is not inactive, has a
    PractitionerRole that is active, in its period, and of a code that the secret `APPROVER_ROLES`
    or its default allows. A login that is no admin sees neither that secret nor the members: the
    default is taken then, members are not looked at, and the result says so.

    Fails: as a warning, when nobody has such a role, or when `APPROVER_ROLES` is not understood:
    then whatever waits for a person expires.

    Cure: give a clinician such a role, as step 6 of the
    [tutorial](../tutorial/your-own-medplum.md#6-who-may-approve) does; or correct
    `APPROVER_ROLES`.
    """
    codes, said = await _codes(target)
    if codes is None:
        return _not_understood()
    found = await target.approvers(codes)
    expected = "an active PractitionerRole of a member, with a code that may approve"
    if not found.everybody:
        return check.warned(f"nobody may approve{said}", expected, _cure("doctor", codes))
    counts = ", ".join(f"{len(who)} {role}" for role, who in found.by_role.items() if who)
    unseen = "" if found.members_known else "; it was not seen whether they are members"
    return check.passed(f"{counts}{said}{unseen}", expected)


@family.define("approvals.second-person", severity=check.Severity.WARNING, needs=("login.valid",))
async def second_person(target: target_module.Target) -> check.Result:
    """A change of medication that needs two people can be approved.

    Proves: a practitioner and a pharmacist may approve, and they are two people. A start, a drug
    of high risk, a severe interaction or one that cannot be judged needs both.

    Fails: as a warning, when either role is nobody's, or when both are one person's.

    Cure: give somebody the role that is missing, as step 6 of the
    [tutorial](../tutorial/your-own-medplum.md#6-who-may-approve) does.
    """
    codes, said = await _codes(target)
    if codes is None:
        return _not_understood()
    found = await target.approvers(codes)
    expected = "a practitioner and a pharmacist, two people"
    if found.pair("practitioner", "pharmacist"):
        return check.passed(f"both are there{said}", expected)
    lacking = [role for role in ("practitioner", "pharmacist") if not found.by_role[role]]
    if lacking:
        observed = f"no {' and no '.join(lacking)} may approve{said}"
        code = "pharmacist" if "pharmacist" in lacking else "doctor"
        return check.warned(observed, expected, _cure(code, codes))
    observed = f"practitioner and pharmacist are the same person{said}"
    return check.warned(observed, expected, _cure("pharmacist", codes))


async def _codes(target: target_module.Target) -> tuple[Mapping[str, tuple[str, ...]] | None, str]:
    """Return the codes by role, None where the secret is not understood, and what to say of them.

    The secret's value is never shown: a site may have put anything there.
    """
    live = (await target.state()).project.secrets
    if live is None:
        return approvers.DEFAULTS, f"; by the default codes, for {approvers.SETTING} is not visible"
    own = live.get(approvers.SETTING)
    codes = approvers.codes_of(own.reveal() if own else None)
    return codes, f"; by the codes of {approvers.SETTING}" if own else ""


def _not_understood() -> check.Result:
    return check.warned(
        f"the secret {approvers.SETTING} is not understood: nobody may approve",
        'JSON: lists of "system|code" by practitioner, nurse, pharmacist, billing',
        f"correct {approvers.SETTING} (docs/bots/approval-queue.md) in the environment, "
        "then medbots deploy",
    )


def _cure(code: str, codes: Mapping[str, tuple[str, ...]]) -> str:
    role = "practitioner" if code == "doctor" else code
    if not codes[role]:
        return f"let {approvers.SETTING} name the codes of {role} (docs/bots/approval-queue.md)"
    words = f"the code {code}" if codes == approvers.DEFAULTS else f"a code of {role}"
    return f"give a clinician an active PractitionerRole with {words} ({_PAGE})"
