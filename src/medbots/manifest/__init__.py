"""A manifest says what should be: text becomes data, and every problem is told at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from medbots import assets, errors, model
from medbots.manifest import document, rules, schema

FILE = "medbots.yaml"


@dataclass(frozen=True, slots=True)
class Models:
    """The models, by their aliases at the router."""

    embedding_alias: str
    dimension: int
    """Length of a vector."""
    prefix: str
    """`none` or `nomic`."""
    clinical_alias: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What should stand in one project."""

    file: Path
    """Absolute path; sources are relative to its folder."""
    namespace: str
    project: str | None
    """Name or id."""
    bots: tuple[model.BotSpec, ...]
    subscriptions: tuple[model.SubscriptionSpec, ...]
    models: Models
    settings: Mapping[str, object] = field(default_factory=dict)
    """What the file gives of `config.Settings`, by setting; what it leaves out is absent."""
    warnings: tuple[errors.Problem, ...] = ()
    """What is legal and yet seldom meant."""


def load(path: Path | None = None) -> Manifest:
    """Return a manifest.

    Args:
        path: its file, or the folder that holds it. None: `medbots.yaml` of the working folder if
            it is there, else the packaged one.

    Raises:
        errors.ManifestError: with every problem in it.
    """
    file = _locate(path)
    try:
        raw = file.read_bytes()
    except OSError as error:
        said = error.strerror or "cannot be read"
        raise errors.ManifestError(str(file), [errors.Problem("", said)]) from error
    return read(raw, file)


def read(raw: bytes, file: Path) -> Manifest:
    """Return the manifest that `raw` holds; `file` is where it stands.

    Raises:
        errors.ManifestError: with every problem in it.
    """
    root, problems = document.parse(raw)
    values: Any = None
    warnings: list[errors.Problem] = []
    if root is not None:
        values = schema.MANIFEST.read(root, "", problems)
        problems.extend(rules.problems(root, file.parent))
        warnings.extend(rules.warnings(root))
    if problems:
        problems.sort(key=lambda problem: (problem.line or 0, problem.path))
        raise errors.ManifestError(str(file), problems)
    return _manifest(values, file, tuple(warnings))


def _locate(path: Path | None) -> Path:
    if path is None:
        here = Path(FILE)
        found = here if here.is_file() else assets.bot_templates() / FILE
        return found.resolve()
    return (path / FILE if path.is_dir() else path).absolute()


def _manifest(values: Any, file: Path, warnings: tuple[errors.Problem, ...]) -> Manifest:
    models = values.get("models", {})
    embedding = {**_defaults(schema.EMBEDDING), **models.get("embedding", {})}
    clinical = {**_defaults(schema.CLINICAL), **models.get("clinical", {})}
    subscriptions = values.get("subscriptions", {}).items()
    return Manifest(
        file=file,
        namespace=values.get("namespace", schema.DEFAULT_NAMESPACE),
        project=values.get("project"),
        bots=tuple(_bot(key, bot, file.parent) for key, bot in values["bots"].items()),
        subscriptions=tuple(_subscription(key, one) for key, one in subscriptions),
        models=Models(
            embedding["alias"], embedding["dimension"], embedding["prefix"], clinical["alias"]
        ),
        settings=MappingProxyType(_settings(values)),
        warnings=warnings,
    )


def _defaults(record: Any) -> dict[str, Any]:
    return {key: one.default for key, one in record.fields.items() if one.default is not None}


def _settings(values: Any) -> dict[str, object]:
    models = values.get("models", {})
    embedding = models.get("embedding", {})
    given = {
        "project": values.get("project"),
        "embedding_model": embedding.get("alias"),
        "embedding_dim": embedding.get("dimension"),
        "embedding_prefix": embedding.get("prefix"),
        "clinical_model": models.get("clinical", {}).get("alias"),
    }
    return {name: value for name, value in given.items() if value is not None}


def _bot(key: str, values: Any, folder: Path) -> model.BotSpec:
    return model.BotSpec(
        key=key,
        name=values["name"],
        source=folder / values["source"],
        description=values.get("description", ""),
        timeout=values.get("timeout", schema.DEFAULT_TIMEOUT),
        run_as_user=values.get("runAsUser", False),
        policy=tuple(_policy_entry(entry) for entry in values.get("policy", ())),
        secrets=values.get("secrets", ()),
        optional_secrets=values.get("optionalSecrets", ()),
    )


def _policy_entry(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an entry as FHIR JSON: lists where the server has lists."""
    return {key: list(one) if isinstance(one, tuple) else one for key, one in values.items()}


def _subscription(key: str, values: Any) -> model.SubscriptionSpec:
    interaction = values.get("interaction")
    return model.SubscriptionSpec(
        key=key,
        name=values["name"],
        criteria=values["criteria"],
        bot=values["bot"],
        interaction=model.Interaction(interaction) if interaction else None,
        fhirpath=values.get("fhirPathCriteria"),
    )
