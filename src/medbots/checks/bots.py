"""What each bot of the manifest needs in order to run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from medbots import check, desired, model, plan, state
from medbots.checks import family as family_module
from medbots.checks import target as target_module


def _bots(
    target: target_module.Target,
) -> Iterator[tuple[dict[str, str], tuple[model.BotSpec]]]:
    for spec in target.manifest.bots:
        yield {"key": spec.key}, (spec,)


family = family_module.Family("bots", "Bots: each of the manifest", _bots)

_EXISTS = ("bots.<key>.exists",)


def _deploy(spec: model.BotSpec) -> str:
    return f"medbots deploy --only {spec.key}"


@family.define("bots.<key>.exists", needs=("login.valid",))
async def exists(target: target_module.Target, spec: model.BotSpec) -> check.Result:
    """The bot stands in the project exactly once, and is ours.

    Proves: one Bot of this project carries the identifier that medbots gives it.

    Fails: when there is none, when there are several, or when a bot only has the same name, as
    after the deployment guide; whether that one has a membership is said too.

    Cure: `medbots deploy --only <key>`, which also adopts a single bot of the same name; where its
    membership is missing, a super admin makes that first. Of several, delete all but one.
    """
    change = await target.change(state.Kind.BOT, spec.key)
    expected = f"one Bot with identifier {target.manifest.namespace}/bot|{spec.key}"
    if change.action is plan.Action.CREATE:
        return check.failed("none", expected, _deploy(spec))
    if change.action is plan.Action.ADOPT:
        observed = f"Bot/{change.id} has the name {spec.name!r} and not our identifier"
        member = await target.change(state.Kind.MEMBERSHIP, spec.key)
        if member.action is plan.Action.CREATE:
            observed += "; it has no ProjectMembership either, so no subscription can run it"
        return check.failed(observed, expected, member.hint or _deploy(spec))
    return check.passed(f"Bot/{change.id}", expected)


@family.define("bots.<key>.digest", needs=_EXISTS)
async def digest(target: target_module.Target, spec: model.BotSpec) -> check.Result:
    """The bot was last deployed from the code that is here.

    Proves: the digest that medbots stored with the bot is the local bundle's.

    Fails: when the bot was deployed from other sources, or never by medbots.

    Cure: `medbots deploy --only <key>`; or check out the commit that is meant to run.
    """
    change = await target.change(state.Kind.BOT, spec.key)
    if change.was_digest == change.digest:
        return check.passed(str(change.was_digest), str(change.digest))
    return check.failed(change.was_digest or "none stored", str(change.digest), _deploy(spec))


@family.define("bots.<key>.code", needs=_EXISTS)
async def code(target: target_module.Target, spec: model.BotSpec) -> check.Result:
    """The code that runs is the code that is here.

    Proves: `executableCode.hash` on the server is the local bundle's, and its file is the one that
    medbots uploaded. With `--strict`, the bytes themselves are read and compared.

    Fails: when somebody replaced the code behind medbots: `$deploy` keeps the digest and drops the
    hash, another `url` keeps both and leads to another file.

    Cure: `medbots deploy --only <key>`, after asking who replaced it; with `--strict` where only
    the bytes differ.
    """
    bundle = target.bundles[spec.key]
    live = await target.live_bot(spec.key)
    if not target.strict:
        if live.code_moved:
            observed = f"hash {live.code_hash}, but in another file than was uploaded: replaced"
            return check.failed(observed, f"hash {bundle.attachment_hash}", _deploy(spec))
        if live.code_hash == bundle.attachment_hash:
            return check.passed(f"hash {live.code_hash}", f"hash {bundle.attachment_hash}")
        observed = f"hash {live.code_hash}" if live.code_hash else "no hash: replaced by $deploy"
        return check.failed(observed, f"hash {bundle.attachment_hash}", _deploy(spec))
    found = await target.code(live.id)
    fix = f"{_deploy(spec)} --strict"
    if found is None:
        return check.failed("no code", bundle.digest, fix)
    observed = f"sha256:{hashlib.sha256(found).hexdigest()}"
    if found == bundle.code:
        return check.passed(f"{len(found)} bytes, {observed}", bundle.digest)
    return check.failed(f"{len(found)} bytes, {observed}", bundle.digest, fix)


@family.define("bots.<key>.runtime", needs=_EXISTS)
async def runtime(target: target_module.Target, spec: model.BotSpec) -> check.Result:
    """The bot runs inside the server.

    Proves: `runtimeVersion` is `vmcontext`. The server validates nothing here, and its own
    default is another.

    Fails: for any other value.

    Cure: `medbots deploy --only <key>`.
    """
    live = await target.live_bot(spec.key)
    wanted = "vmcontext"
    return await _field(target, spec, "runtimeVersion", live.runtime or "none", wanted)


@family.define("bots.<key>.identity", needs=_EXISTS)
async def identity(target: target_module.Target, spec: model.BotSpec) -> check.Result:
    """The bot runs with the rights that the manifest gives it.

    Proves: `runAsUser` is as in the manifest. A search that ran with the bot's own rights would
    show a user what they may not see.

    Fails: when it differs.

    Cure: `medbots deploy --only <key>`.
    """
    live = await target.live_bot(spec.key)
    return await _field(
        target,
        spec,
        "runAsUser",
        _runs_as(as_user=live.run_as_user),
        _runs_as(as_user=spec.run_as_user),
    )


def _runs_as(*, as_user: bool) -> str:
    return "runs as the user" if as_user else "runs as itself"


@family.define("bots.<key>.timeout", needs=_EXISTS)
async def timeout(target: target_module.Target, spec: model.BotSpec) -> check.Result:
    """The bot has its time limit.

    Proves: `timeout` is the manifest's. Without one the server allows 10 seconds.

    Fails: when it is missing or differs.

    Cure: `medbots deploy --only <key>`.
    """
    live = await target.live_bot(spec.key)
    observed = f"{live.timeout} s" if live.timeout else "none"
    return await _field(target, spec, "timeout", observed, f"{spec.timeout} s")


async def _field(
    target: target_module.Target, spec: model.BotSpec, name: str, observed: str, wanted: str
) -> check.Result:
    change = await target.change(state.Kind.BOT, spec.key)
    if name in change.fields:
        return check.failed(observed, wanted, _deploy(spec))
    return check.passed(observed, wanted)


@family.define("bots.<key>.membership", needs=(*_EXISTS, "login.rights"))
async def membership(target: target_module.Target, spec: model.BotSpec) -> check.Result:
    """The bot is a member of the project.

    Proves: a ProjectMembership has the bot as its profile. Without it a subscription runs
    nothing, and only the server's log says so; `$execute` succeeds all the same.

    Fails: when there is none, as after a plain `POST /fhir/R4/Bot`.

    Cure: `medbots deploy --only <key>`, as a super admin: only they can make a membership for a
    bot that exists.
    """
    change = await target.change(state.Kind.MEMBERSHIP, spec.key)
    expected = "a ProjectMembership"
    if change.skip:
        return check.failed(f"not visible: {change.skip}", expected, "medbots login")
    if change.id is None:
        return check.failed("none", expected, change.hint or _deploy(spec))
    return check.passed(f"ProjectMembership/{change.id}", expected)


@family.define("bots.<key>.policy", needs=("bots.<key>.membership",))
async def policy(target: target_module.Target, spec: model.BotSpec) -> check.Result:
    """The bot may do what the manifest says, and no more.

    Proves: the bot's membership names our AccessPolicy, and that policy's rules are the
    manifest's.

    Fails: when the membership has no policy or another, or when the rules differ. A bot for which
    the manifest has no `policy` passes: medbots manages none.

    Cure: `medbots deploy --only <key>`.
    """
    if not spec.policy:
        return check.passed("none is managed", "none in the manifest")
    rules = await target.change(state.Kind.POLICY, spec.key)
    member = await target.change(state.Kind.MEMBERSHIP, spec.key)
    expected = f"an AccessPolicy with the manifest's {len(spec.policy)} rules"
    if rules.id is None:
        return check.failed("no AccessPolicy of ours", expected, _deploy(spec))
    if rules.action is not plan.Action.UNCHANGED:
        differs = ", ".join(rules.fields)
        return check.failed(f"AccessPolicy/{rules.id}: {differs} differs", expected, _deploy(spec))
    if member.action is not plan.Action.UNCHANGED:
        return check.failed("the membership does not name it", expected, _deploy(spec))
    return check.passed(f"AccessPolicy/{rules.id}", expected)


@family.define("bots.<key>.secrets", needs=("login.rights",))
async def secrets(target: target_module.Target, spec: model.BotSpec) -> check.Result:
    """The project holds the secrets that the bot cannot do without.

    Proves: every name under the bot's `secrets` is a project secret, and those that say where the
    bot is, `MEDBOTS_PROJECT_ID` and `MEDBOTS_NAMESPACE`, say so rightly. Other values are neither
    shown nor compared: those of the server are as seen from the server.

    Fails: naming those that are missing or lead elsewhere.

    Cure: `medbots db init` for `DATABASE_URL`; the others from the environment by
    `medbots deploy`.
    """
    if not spec.secrets:
        return check.passed("none needed")
    expected = ", ".join(spec.secrets)
    live = (await target.state()).project.secrets
    if live is None:
        return check.failed("not visible to this login", expected, "medbots login")
    missing = [name for name in spec.secrets if name not in live]
    project_id = (await target.state()).project.id
    wanted = {one.name: one for one in target.wanted(project_id).secrets}
    used = {*spec.secrets, *spec.optional_secrets} & desired.IDENTITY & live.keys()
    wrong = sorted(name for name in used if live[name] != wanted[name].value)
    if wrong and not missing:
        return check.failed(f"not this project's: {', '.join(wrong)}", expected, _deploy(spec))
    if not missing:
        return check.passed("all present", expected)
    made_by = {name: one.made_by for name, one in wanted.items()}
    commands = dict.fromkeys(made_by.get(name) or _deploy(spec) for name in missing)
    return check.failed(f"missing: {', '.join(missing)}", expected, " && ".join(commands))
