"""Which vectors may be compared: those of one model, one length and one way of prefixing."""

from __future__ import annotations

from medbots import errors

_LONGEST = 100
"""Characters of the column `model_version`."""


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
