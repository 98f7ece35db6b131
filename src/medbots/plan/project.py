"""What of the project itself has to change: its features and its secrets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from medbots import model, state
from medbots.plan.change import ADMIN, SUPER_ADMIN, Action, Change, enabling


def features(desired: model.Desired, actual: state.ServerState) -> Iterator[Change]:
    """Yield a change for each project feature; only a super admin can add one."""
    live = actual.project.features
    for feature in desired.features:
        if live is None:
            reason = f"only {ADMIN} can see the project's features"
            change = Change(state.Kind.FEATURE, feature, feature, Action.UNCHANGED, feature)
            yield replace(change, id=actual.project.id, skip=reason)
            continue
        present = feature in live
        may = actual.rights.super_admin
        yield Change(
            state.Kind.FEATURE,
            feature,
            feature,
            Action.UNCHANGED if present else Action.CREATE,
            feature,
            id=actual.project.id,
            fields=() if present else ("features",),
            blocked=""
            if present or may
            else f"project {actual.project.name!r} lacks the feature {feature!r}, without which "
            f"no bot runs; only {SUPER_ADMIN} can enable it",
            hint="" if present or may else enabling(actual.project),
        )


def secrets(desired: model.Desired, actual: state.ServerState) -> Iterator[Change]:
    """Yield a change for each project secret; a default never replaces a value."""
    live = actual.project.secrets
    for spec in desired.secrets:
        change = Change(state.Kind.SECRET, spec.name, spec.name, Action.UNCHANGED, spec)
        if live is None:
            skip = "" if not spec.required else f"only {ADMIN} can see the project's secrets"
            yield replace(change, skip=skip)
        elif spec.value is None:
            if spec.name in live or not spec.required:
                yield change
            elif spec.made_by:
                yield replace(change, action=Action.CREATE, skip=f"made by: {spec.made_by}")
            else:
                yield replace(
                    change,
                    action=Action.CREATE,
                    blocked=f"the bots need the secret {spec.name}, and there is no value for it",
                    hint=f"set {spec.name} in the environment",
                )
        elif spec.name not in live:
            yield replace(change, action=Action.CREATE, fields=("valueString",))
        elif live[spec.name] != spec.value and not spec.default:
            yield replace(change, action=Action.UPDATE, fields=("valueString",))
        else:
            yield change
