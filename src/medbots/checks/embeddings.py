"""What manifest, table, model and rows must agree on."""

from __future__ import annotations

from medbots import check
from medbots.checks import family as family_module
from medbots.checks import target as target_module
from medbots.database import queries

_PROBE = "medbots verify"
"""The one text that is ever sent to the model from here."""

_CONTRACT = frozenset({"EMBEDDING_MODEL", "EMBEDDING_DIM", "EMBEDDING_PREFIX_MODE"})
"""Secrets that say the same here and on the server, and are no secret."""

_AGAIN = (
    "embed the records of the other versions again: $execute the Embedding Bot with "
    '{"action": "backfill", "resourceType": "Condition"}, and so for each type'
)

family = family_module.Family("embeddings", "Embeddings: the contract and the index")


@family.define("embeddings.contract", needs=("database.schema", "router.models", "login.valid"))
async def contract(target: target_module.Target) -> check.Result:
    """Settings, secrets, column, model and rows mean the same vectors.

    Proves: the configured length (`EMBEDDING_DIM`, `models.embedding.dimension`) is the length
    that the column declares and the length that the model answers, and the project's rows carry
    the model version that searches ask for. The model is called once, with two words of our own.
    The project secrets `EMBEDDING_MODEL`, `EMBEDDING_DIM` and `EMBEDDING_PREFIX_MODE`, by which
    the bots work, say the same as the settings.

    Fails: naming what differs. Rows of another model version are a warning where they stand beside
    those of the right one, or come from the deployment guide's table: no search finds them.

    Cure: set `EMBEDDING_DIM` to what the model answers, or give the alias its old model back.
    Records whose rows are of another version have to be embedded again, by the Embedding Bot's
    `backfill` or by their next change. A secret is set by `deploy` with the setting in its
    environment; a setting that nobody made replaces none.
    """
    wanted = target.settings.embedding_dim
    alias = target.settings.embedding_model
    column = (await target.store()).dimension
    (vector,) = await target.router.embed(alias, [_PROBE])
    expected = f"{wanted} dimensions, model version {target.model_version}"
    observed = f"settings {wanted}, column {column}, {alias} answers {len(vector)}"
    if column != wanted or len(vector) != wanted:
        return check.failed(observed, expected, _cure(wanted, column, len(vector)))
    astray = await _secrets_astray(target)
    if astray:
        said = f"{observed}; the bots' secrets say otherwise: {', '.join(astray)}"
        given = " ".join(f"{name}={value}" for name, value in astray.items())
        return check.failed(said, expected, f"{given} medbots deploy")
    found = await queries.run(
        await target.database(), "model_versions", (await target.client()).project.id
    )
    counts = await found.fetchall()
    rows = ", ".join(f"{count} rows of {name}" for name, count, _ in counts) or "no rows yet"
    observed = f"{observed}; {rows}"
    right = any(name == target.model_version for name, _, _ in counts)
    if not right and any(written for _, _, written in counts):
        return check.failed(observed, expected, "set EMBEDDING_MODEL back, or embed all again")
    if len(counts) > right:
        return check.warned(observed, expected, _AGAIN)
    return check.passed(observed, expected)


async def _secrets_astray(target: target_module.Target) -> dict[str, str]:
    """Return the secrets of the contract that differ from the settings, with what they should be.

    Where this login may not see secrets, or there are none, nothing is said.
    """
    project = (await target.state()).project
    live = project.secrets or {}
    return {
        one.name: one.value.reveal()
        for one in target.wanted(project.id).secrets
        if one.name in _CONTRACT and one.value and live.get(one.name, one.value) != one.value
    }


def _cure(wanted: int, column: int | None, answered: int) -> str:
    if column == answered:
        return f"set EMBEDDING_DIM={answered}, or models.embedding.dimension in the manifest"
    if column == wanted:
        return f"let the router's alias name a model of {wanted} dimensions again"
    return "medbots db init: its refusal says how to change the column"


@family.define("embeddings.index", needs=("database.schema",))
async def index(target: target_module.Target) -> check.Result:
    """The vector index of the model in use is there and valid.

    Proves: an HNSW index for the model version that searches ask for exists, and Postgres may
    use it. A search without one works, and is slow.

    Fails: when it is missing, serves another model, is of another kind, or is invalid, as an
    interrupted build leaves it. One that is being built now is a warning.

    Cure: `medbots db init`, which builds it anew without blocking the bots.
    """
    found = (await target.store()).index
    expected = f"a valid hnsw index for {target.model_version}"
    fix = "medbots db init"
    if found is None:
        return check.failed("none", expected, fix)
    observed = f"{found.name}: {found.kind} for {found.model_version or 'all models'}"
    if found.builder is not None:
        return check.warned(f"{observed}, being built now (pid {found.builder})", expected)
    if not found.valid:
        return check.failed(f"{observed}, invalid", expected, fix)
    if found.kind != "hnsw" or found.model_version != target.model_version:
        return check.failed(observed, expected, fix)
    return check.passed(observed, expected)
