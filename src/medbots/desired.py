"""What should stand in one project: the manifest, with the settings of this run filled in."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Mapping
from dataclasses import replace

from medbots import config, errors, manifest, model, secret

DATABASE_SECRET = "DATABASE_URL"  # noqa: S105
"""Made by `db init`: the connection URL of the bots' own database role."""

IDENTITY = frozenset({"MEDBOTS_PROJECT_ID", "MEDBOTS_NAMESPACE"})
"""Secrets that tell a bot where it is; here and on the server they have the same value."""

_MADE_BY = {DATABASE_SECRET: "medbots db init"}

_SETTINGS = {
    "LLM_ROUTER_URL": "bot_llm_router_url",
    "LLM_API_KEY": "llm_api_key",
    "CLINICAL_MODEL": "clinical_model",
    "EMBEDDING_MODEL": "embedding_model",
    "EMBEDDING_DIM": "embedding_dim",
    "EMBEDDING_PREFIX_MODE": "embedding_prefix",
}


def build(
    the_manifest: manifest.Manifest,
    settings: config.Settings,
    environ: Mapping[str, str],
    project_id: str,
    bundles: Mapping[str, model.Bundle],
) -> model.Desired:
    """Return everything that the manifest asks for in the project `project_id`."""
    return model.Desired(
        namespace=the_manifest.namespace,
        bots=the_manifest.bots,
        bundles=bundles,
        subscriptions=the_manifest.subscriptions,
        devices=tuple(
            model.DeviceSpec(alias, f"{alias} (model alias)")
            for alias in dict.fromkeys((settings.clinical_model, settings.embedding_model))
        ),
        secrets=tuple(secrets(the_manifest, settings, environ, project_id)),
    )


def secrets(
    the_manifest: manifest.Manifest,
    settings: config.Settings,
    environ: Mapping[str, str],
    project_id: str,
) -> list[model.SecretSpec]:
    """Return the project secrets that the bots read, with the values that are known here."""
    required = {name for bot in the_manifest.bots for name in bot.secrets}
    optional = {name for bot in the_manifest.bots for name in bot.optional_secrets}
    known = {"MEDBOTS_PROJECT_ID": project_id, "MEDBOTS_NAMESPACE": the_manifest.namespace}
    values = {**environ, **known}
    return [
        _secret(name, settings, values, required=name in required)
        for name in sorted(required | optional)
    ]


def _secret(
    name: str, settings: config.Settings, values: Mapping[str, str], *, required: bool
) -> model.SecretSpec:
    spec = model.SecretSpec(name, required=required, made_by=_MADE_BY.get(name))
    if spec.made_by:
        return spec
    if name in _SETTINGS:
        value = getattr(settings, _SETTINGS[name])
        if isinstance(value, secret.Secret) or value is None:
            return replace(spec, value=value)
        default = settings.origin(_SETTINGS[name]) == config.FROM_DEFAULT
        return replace(spec, value=secret.Secret(str(value)), default=default)
    return replace(spec, value=secret.Secret(values[name]) if values.get(name) else None)


def only(desired: model.Desired, pattern: str) -> model.Desired:
    """Return the part of `desired` whose bots' or subscriptions' keys match a glob.

    Several globs stand in one pattern, parted by commas, which no key has.

    Raises:
        errors.UsageError: nothing matches one of them.
    """
    globs = [glob.strip() for glob in pattern.split(",") if glob.strip()] or [pattern]
    known = [bot.key for bot in desired.bots] + [one.key for one in desired.subscriptions]
    for glob in globs:
        if not any(fnmatch.fnmatchcase(key, glob) for key in known):
            near = difflib.get_close_matches(glob, known, n=1)
            raise errors.UsageError(
                f"--only {glob}: nothing in the manifest has such a key",
                hint=f"did you mean {near[0]}?" if near else f"keys: {', '.join(known)}",
            )
    matched = {key for key in known for glob in globs if fnmatch.fnmatchcase(key, glob)}
    bots = tuple(bot for bot in desired.bots if bot.key in matched)
    keys = {bot.key for bot in bots}
    subscriptions = tuple(
        one for one in desired.subscriptions if one.bot in keys or one.key in matched
    )
    names = {name for bot in bots for name in (*bot.secrets, *bot.optional_secrets)}
    kept = tuple(spec for spec in desired.secrets if spec.name in names)
    return replace(desired, bots=bots, subscriptions=subscriptions, secrets=kept)
