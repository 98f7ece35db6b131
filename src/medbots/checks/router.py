"""The model router."""

from __future__ import annotations

from medbots import check
from medbots.checks import family as family_module
from medbots.checks import target as target_module

family = family_module.Family("router", "The model router")


@family.define("router.reachable")
async def reachable(target: target_module.Target) -> check.Result:
    """The model router answers.

    Proves: `GET /health/liveliness` answers at `LLM_ROUTER_URL`. No model is called. A router
    without that route passes when it answers at all.

    Fails: when nothing answers there, or a gateway that does not reach the router.

    Cure: start the router, or correct `LLM_ROUTER_URL`. It is the router's address as seen from
    here; the bots use the project secret of the same name.
    """
    return check.passed(f"{target.router.base_url}: {await target.router.alive()}")


@family.define("router.models", needs=("router.reachable",))
async def models(target: target_module.Target) -> check.Result:
    """The router accepts the key and offers both model aliases.

    Proves: `GET /v1/models` with `LLM_API_KEY` lists `EMBEDDING_MODEL` and `CLINICAL_MODEL`. No
    token is spent. An alias that no bot of the manifest reads is a warning when it is missing.

    Fails: when the key is refused or missing, or when an alias that a bot uses is not in the list.

    Cure: set `LLM_API_KEY`; add the alias to the router's configuration, or name the router's
    own alias in `medbots.yaml` (`models`).
    """
    settings = target.settings
    aliases = {
        "EMBEDDING_MODEL": settings.embedding_model,
        "CLINICAL_MODEL": settings.clinical_model,
    }
    bots = target.manifest.bots
    read = {name for bot in bots for name in (*bot.secrets, *bot.optional_secrets)}
    offered = await target.router.models()
    missing = {name: alias for name, alias in aliases.items() if alias not in offered}
    expected = ", ".join(dict.fromkeys(aliases.values()))
    if not missing:
        return check.passed(expected, expected)
    names = list(dict.fromkeys(missing.values()))
    observed = f"missing: {', '.join(names)}; offered: {', '.join(offered) or 'nothing'}"
    fix = (
        f"add {' and '.join(names)} to the router's models, or change `models` in "
        f"{target.manifest.file.name}"
    )
    if read & missing.keys():
        return check.failed(observed, expected, fix)
    return check.warned(f"{observed}; no bot of the manifest uses it", expected, fix)
