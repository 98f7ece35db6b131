"""Which vectors may be compared: those of one model, one length and one way of prefixing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from medbots import config, errors

_LONGEST = 100
"""Characters of the column `model_version`."""
_DOCUMENT_PREFIXES = {"none": "", "nomic": "search_document: "}

SECRETS: Mapping[str, str] = {
    "EMBEDDING_MODEL": "embedding_model",
    "EMBEDDING_DIM": "embedding_dim",
    "EMBEDDING_PREFIX_MODE": "embedding_prefix",
}
"""The project secrets by which the bots work, each with the setting of the same meaning."""


@dataclass(frozen=True, slots=True)
class Contract:
    """How vectors are made."""

    alias: str
    """Of the model at the router."""
    dimension: int
    prefix: str
    """`none` or `nomic`."""

    @property
    def version(self) -> str:
        """What rows record of it."""
        return model_version(self.alias, self.dimension, self.prefix)

    def document(self, text: str) -> str:
        """Return a record's text as the model wants it."""
        return _DOCUMENT_PREFIXES[self.prefix] + text

    def secrets(self) -> dict[str, str]:
        """Return the project secrets that tell the bots of it."""
        values = (self.alias, str(self.dimension), self.prefix)
        return dict(zip(SECRETS, values, strict=True))


def of_settings(settings: config.Settings) -> Contract:
    """Return what the settings of a run ask for."""
    return Contract(settings.embedding_model, settings.embedding_dim, settings.embedding_prefix)


def of_secrets(live: Mapping[str, str]) -> Contract:
    """Return what the bots work by: the project's secrets, and the defaults where it has none.

    Raises:
        errors.InvalidError: a secret holds what no bot takes.
    """
    given = {name: live.get(name) or config.DEFAULTS[SECRETS[name]] for name in SECRETS}
    dimension, prefix = given["EMBEDDING_DIM"].strip(), given["EMBEDDING_PREFIX_MODE"].strip()
    if not (dimension.isascii() and dimension.isdigit()) or prefix not in _DOCUMENT_PREFIXES:
        raise errors.InvalidError(
            "the project secrets EMBEDDING_DIM and EMBEDDING_PREFIX_MODE hold what no bot takes",
            hint="correct them in the Medplum app (Project, Secrets)",
        )
    return Contract(given["EMBEDDING_MODEL"].strip(), int(dimension), prefix)


def model_version(alias: str, dimension: int, prefix: str) -> str:
    """Return what each row records of the model that made its vector.

    Args:
        alias: the model's name at the router.
        dimension: the length of a vector.
        prefix: `none` or `nomic`.

    Raises:
        errors.InvalidError: the alias is too long for the column.
    """
    version = f"{alias}/{dimension}/{prefix}"
    if len(version) > _LONGEST:
        raise errors.InvalidError(
            f"the embedding model's alias {alias!r} is too long: {version!r} must not exceed "
            f"{_LONGEST} characters",
            hint="give the model a shorter alias at the router, and set EMBEDDING_MODEL to it",
        )
    return version
