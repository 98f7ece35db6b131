"""The project that the bots live in."""

from __future__ import annotations

from collections.abc import Iterator

from medbots import check, plan, state
from medbots.checks import family as family_module
from medbots.checks import target as target_module


def _features(target: target_module.Target) -> Iterator[tuple[dict[str, str], tuple[str]]]:
    for feature in target.wanted().features:
        yield {"feature": feature}, (feature,)


family = family_module.Family("project", "The project", _features)


@family.define("project.feature.<feature>", needs=("login.valid",))
async def feature(target: target_module.Target, name: str) -> check.Result:
    """The project has the feature that bots need.

    Proves: the project's `features` hold `bots`, without which the server runs no bot although
    it accepts every deployment.

    Fails: when the feature is missing, or when the login may not read the project.

    Cure: a super admin of the server enables it; a project admin cannot, and the server answers
    their attempt with 200 all the same.
    """
    change = await target.change(state.Kind.FEATURE, name)
    expected = f"features hold {name!r}"
    if change.skip:
        return check.failed(f"not visible: {change.skip}", expected, "medbots login")
    if change.action is plan.Action.UNCHANGED:
        return check.passed("enabled", expected)
    return check.failed(change.blocked or "missing", expected, change.hint or "medbots deploy")
