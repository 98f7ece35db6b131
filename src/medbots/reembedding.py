"""What a change of the embedding model is about, between the store that holds it and the model."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Behind:
    """A resource that another model has embedded, and the one to come has not, or not so late."""

    table: str
    """Where the other model's rows are."""
    kind: str
    """Resource type."""
    id: str
    model_version: str
    """Of the other model."""
    updated_at: dt.datetime
    """When the version was made that the rows stand for."""
    created_at: dt.datetime
    """When their text was embedded."""
    chunks: int

    @property
    def reference(self) -> str:
        """Type and id."""
        return f"{self.kind}/{self.id}"


@dataclass(frozen=True, slots=True)
class Text:
    """One row of the other model."""

    row: str
    """Its id."""
    content_type: str
    section: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource that is behind, with its texts."""

    behind: Behind
    texts: tuple[Text, ...]
    content_hash: str
    """Of the other model's rows; empty where they do not agree on one."""
    stored_hash: str | None
    """Of the rows that the model to come has of it; None without such rows, or half of them."""


@dataclass(frozen=True, slots=True)
class Made:
    """What is to be written of a resource."""

    resource: Resource
    content_hash: str
    vectors: tuple[list[float], ...] | None
    """One a text; None: the text is the same as before, only the version is later."""
