"""What manifest, table, model and rows must agree on."""

from __future__ import annotations

from medbots import check, config
from medbots.checks import family as family_module
from medbots.checks import target as target_module
from medbots.database import connection as connection_module
from medbots.database import models, refill, status
from medbots.database import table as table_module

_PROBE = "medbots verify"
"""The one text that is ever sent to the model from here."""

_DIMENSION = "EMBEDDING_DIM"
_DEFAULTS = {
    "EMBEDDING_MODEL": config.DEFAULTS["embedding_model"],
    _DIMENSION: config.DEFAULTS["embedding_dim"],
    "EMBEDDING_PREFIX_MODE": config.DEFAULTS["embedding_prefix"],
}
"""What a bot works by that finds no such secret; the contract's settings are no secret."""

_AGAIN = "medbots db migrate --reembed, which embeds the records again while searches go on"
_DROP = "medbots db migrate --drop-previous, when the searches are as they should be"

_INIT = "medbots db init"

family = family_module.Family("embeddings", "Embeddings: the contract and the index")


@family.define("embeddings.settings", needs=("database.schema", "login.valid"))
async def settings(target: target_module.Target) -> check.Result:
    """Settings, the bots' secrets and the column mean the same vectors.

    Proves: the configured length (`EMBEDDING_DIM`, `models.embedding.dimension`) is the length that
    the column declares, and the project secrets `EMBEDDING_MODEL`, `EMBEDDING_DIM` and
    `EMBEDDING_PREFIX_MODE`, by which the bots work, say the same as the settings of this run. No
    model is called. Where this login may not see secrets, they are not compared.

    Fails: where there is no table yet; else naming the one at fault: the setting and where it comes
    from, where secret and column agree; the column, where setting and secret agree; else the
    secret. What rests on it is skipped.

    Cure: `medbots db init` for the table; give the setting the value of the other two;
    `medbots db migrate --reembed` for the column, and to move the bots to another model where their
    records have no vectors of it yet; for another secret `medbots deploy` with the setting in its
    environment: a setting that nobody made replaces none.
    """
    wanted, store = target.settings.embedding_dim, await target.store()
    column, astray = store.dimension, await _secrets_astray(target)
    origin = target.settings.origin("embedding_dim")
    expected = f"{wanted} dimensions, model version {target.model_version}"
    if column is None:
        return check.failed(_lengthless(store), expected, _INIT)
    observed = f"settings {wanted} ({origin}), column {column}"
    if column != wanted:
        # What the bots work by is not what is out of place; unseen, rows tell what they work by.
        seen = (await target.state()).project.secrets is not None
        stands = astray.get(_DIMENSION) == str(column) if seen else store.rows > 0
        if stands:
            cure = f"set EMBEDDING_DIM={column}, or models.embedding.dimension in the manifest"
            cure = f"{cure}; if the model is to change: {_AGAIN}"
            return check.failed(f"{observed}: the setting is at fault", expected, cure)
        if _DIMENSION in astray:
            cure = f"decide on a length, set EMBEDDING_DIM to it, {_AGAIN}"
            return check.failed(f"{observed}, and the bots' secret differs", expected, cure)
        return check.failed(f"{observed}: the column is at fault", expected, _AGAIN)
    if astray:
        said = f"{observed}; the bots' secrets say otherwise: {', '.join(astray)}"
        given = " ".join(f"{name}={_settings(target)[name]}" for name in astray)
        if store.table != table_module.NAME:
            said = f"{said}; the settings' vectors are in {store.table}, an earlier table"
            values = " ".join(f"{name}={value}" for name, value in astray.items())
            return check.failed(said, expected, f"set {values}; or, to go back: {_AGAIN}")
        if await _behind(target):
            said = f"{said}; records have no vectors of the settings' model yet"
            return check.failed(said, expected, f"{given} {_AGAIN}")
        return check.failed(said, expected, f"{given} medbots deploy")
    return check.passed(observed, expected)


def _lengthless(store: status.Status) -> str:
    """Say why no length of vectors is known, to a run that left `database.schema` out."""
    if store.origin is table_module.Origin.NONE:
        return f"there is no table {table_module.NAME}"
    return f"{table_module.NAME} declares no length of its vectors"


async def _secrets_astray(target: target_module.Target) -> dict[str, str]:
    """Return what the bots work by that differs from the settings, by secret.

    A bot without the secret works by the default. Where this login may not see secrets, nothing is
    said.
    """
    live = (await target.state()).project.secrets
    if live is None:
        return {}
    bots = target.manifest.bots
    read = {name for bot in bots for name in (*bot.secrets, *bot.optional_secrets)}
    said = {
        name: live[name].reveal() if name in live else default
        for name, default in _DEFAULTS.items()
        if name in read
    }
    return {name: value for name, value in said.items() if value != _settings(target)[name]}


async def _behind(target: target_module.Target) -> bool:
    """Whether another model has embedded records that the settings' model has not."""
    store, project = await target.store(), (await target.client()).project
    with connection_module.translated():
        names = (project.id, target.model_version, store.table)
        return bool(await refill.behind(await target.database(), *names))


def _settings(target: target_module.Target) -> dict[str, str]:
    return {
        "EMBEDDING_MODEL": target.settings.embedding_model,
        _DIMENSION: str(target.settings.embedding_dim),
        "EMBEDDING_PREFIX_MODE": target.settings.embedding_prefix,
    }


@family.define("embeddings.contract", needs=("embeddings.settings", "router.models", "login.valid"))
async def contract(target: target_module.Target) -> check.Result:
    """The model makes the vectors that the settings and the column mean.

    Proves: the configured length is the length that the model answers, and that the column
    declares. The model is called once, with two words of our own.

    Fails: when the model answers another length: the router's alias is at fault where settings and
    column agree.

    Cure: give the alias its old model back; or, for a new model of another length, set
    `EMBEDDING_DIM` to what it answers, and run `medbots db migrate --reembed`.
    """
    wanted = target.settings.embedding_dim
    alias = target.settings.embedding_model
    store = await target.store()
    column = store.dimension
    expected = f"{wanted} dimensions, model version {target.model_version}"
    if column is None:
        return check.failed(_lengthless(store), expected, _INIT)
    (vector,) = await target.router.embed(alias, [_PROBE])
    observed = f"settings {wanted}, column {column}, {alias} answers {len(vector)}"
    if column != wanted or len(vector) != wanted:
        return check.failed(observed, expected, _cure(wanted, column, len(vector)))
    return check.passed(observed, expected)


def _cure(wanted: int, column: int | None, answered: int) -> str:
    if column == answered:
        return f"set EMBEDDING_DIM={answered}, or models.embedding.dimension in the manifest"
    if column == wanted:
        return f"let the router's alias name a model of {wanted} dimensions again"
    return _AGAIN


@family.define("embeddings.rows", needs=("embeddings.settings",))
async def rows(target: target_module.Target) -> check.Result:
    """Searches find the project's rows.

    Proves: the rows carry the model version that searches ask for: model, length and prefixes.

    Fails: when none of them does. Rows of another model version are a warning where they stand
    beside those of the right one, or come from the deployment guide's table: no search finds them.

    Cure: give `EMBEDDING_MODEL` its old value back; or embed the records again, by
    `medbots db migrate --reembed`. What an earlier model left, and has new vectors, goes by
    `medbots db migrate --drop-previous`.
    """
    project, store = (await target.client()).project, await target.store()
    expected = f"rows of model version {target.model_version}"
    if store.dimension is None:
        return check.failed(_lengthless(store), expected, _INIT)
    with connection_module.translated():
        found = await models.held(await target.database(), project.id)
    observed = ", ".join(f"{one.rows} rows of {one.model_version}" for one in found)
    right = any(one.model_version == target.model_version for one in found)
    if not right and any(one.written for one in found):
        return check.failed(observed, expected, f"set EMBEDDING_MODEL back, or {_AGAIN}")
    if any(one.model_version != target.model_version for one in found):
        return check.warned(observed, expected, _AGAIN if await _behind(target) else _DROP)
    return check.passed(observed or "no rows yet", expected)


@family.define("embeddings.index", needs=("database.schema", "embeddings.settings"))
async def index(target: target_module.Target) -> check.Result:
    """The vector index of the model in use is there and valid.

    Proves: an HNSW index for the model version that searches ask for exists, and Postgres may
    use it. A search without one works, and is slow.

    Fails: when it is missing, serves another model, is of another kind, or is invalid, as an
    interrupted build leaves it. One that is being built now is a warning, and so is any other
    invalid index: every write pays for it, and no search for a rare resource type uses it.

    Cure: `medbots db init`, which builds it anew without blocking the bots.
    """
    store = await target.store()
    found = store.index
    expected = f"a valid hnsw index for {target.model_version}"
    if store.dimension is None:
        return check.failed(_lengthless(store), expected, _INIT)
    fix = _INIT
    if store.dimension != target.settings.embedding_dim:
        # For a run that left the other checks out: no index can serve such vectors.
        observed = f"the column has {store.dimension} dimensions"
        return check.failed(observed, expected, "medbots verify --only embeddings.settings")
    if found is None:
        return check.failed("none", expected, fix)
    observed = f"{found.name}: {found.kind} for {found.model_version or 'all models'}"
    if found.builder is not None:
        return check.warned(f"{observed}, being built now (pid {found.builder})", expected)
    if not found.valid:
        return check.failed(f"{observed}, invalid", expected, fix)
    if found.kind != "hnsw" or found.model_version != target.model_version:
        return check.failed(observed, expected, fix)
    broken = [one.name for one in store.leftovers if not one.building]
    if broken:
        return check.warned(f"{observed}; invalid: {', '.join(broken)}", expected, fix)
    return check.passed(observed, expected)
