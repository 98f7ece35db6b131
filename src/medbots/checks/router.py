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
    token is spent.

    Fails: when the key is refused or missing, or when an alias is not in the list.

    Cure: set `LLM_API_KEY`; add the alias to the router's configuration, or name the router's
    own alias in `medbots.yaml` (`models`).
    """
    wanted = list(dict.fromkeys((target.settings.embedding_model, target.settings.clinical_model)))
    offered = await target.router.models()
    missing = [alias for alias in wanted if alias not in offered]
    expected = ", ".join(wanted)
    if not missing:
        return check.passed(expected, expected)
    return check.failed(
        f"missing: {', '.join(missing)}; offered: {', '.join(offered) or 'nothing'}",
        expected,
        f"add {' and '.join(missing)} to the router's models, or change `models` in "
        f"{target.manifest.file.name}",
    )
