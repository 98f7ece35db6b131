"""What a run wants of the database, and each thing that it made sure of."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from medbots import secret


class Action(enum.StrEnum):
    """What a step did."""

    CREATE = "create"
    UPDATE = "update"
    ADOPT = "adopt"
    DELETE = "delete"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was made sure of; in a dry run, what would be done."""

    kind: str
    """`extension`, `migration`, `index`, `history`, `role` or `secret`."""
    key: str
    action: Action
    details: tuple[str, ...] = ()
    """What was done; free of secrets."""
    warnings: tuple[str, ...] = ()
    """What deserves a look, each time."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a project wants of the database."""

    project_id: str
    """Empty where nobody is logged in."""
    alias: str
    """Of the embedding model at the router."""
    dimension: int
    prefix: str
    """`none` or `nomic`."""
    model_version: str
    """What rows record of their model."""
    bot_database_url: secret.Secret | None = None
    """The database as the Medplum server sees it; its user and password are not used."""
