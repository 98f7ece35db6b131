"""The Devices that author what a model wrote."""

from __future__ import annotations

from collections.abc import Iterator

from medbots import check, model, plan, state
from medbots.checks import family as family_module
from medbots.checks import target as target_module


def _devices(
    target: target_module.Target,
) -> Iterator[tuple[dict[str, str], tuple[model.DeviceSpec]]]:
    for spec in target.wanted().devices:
        yield {"alias": spec.key}, (spec,)


family = family_module.Family("devices", "Devices: the authors of what models write", _devices)


@family.define("devices.<alias>", needs=("login.valid",))
async def device(target: target_module.Target, spec: model.DeviceSpec) -> check.Result:
    """The model alias has its Device.

    Proves: a Device with the alias as our identifier stands in the project, so that what a model
    writes has an author that FHIR allows.

    Fails: when it is missing or its name was changed.

    Cure: `medbots deploy`.
    """
    change = await target.change(state.Kind.DEVICE, spec.key)
    if change.action is plan.Action.UNCHANGED:
        return check.passed(f"Device/{change.id}", spec.name)
    observed = f"Device/{change.id} differs: {', '.join(change.fields)}" if change.id else "none"
    return check.failed(observed, spec.name, "medbots deploy")
