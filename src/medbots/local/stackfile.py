"""What the stack remembers between runs: ports, generated credentials, what its models do."""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from medbots import errors, files

VERSION = 1
PROJECT = "Local Clinic"
FEATURES = ("bots", "cron", "transaction-bundles")
_BYTES = 18
"""Of randomness in a generated password: 144 bits."""


def _password() -> str:
    return secrets.token_urlsafe(_BYTES)


@dataclass(frozen=True, slots=True)
class Port:
    """A port that a service has."""

    number: int
    given: bool = False
    """Whether a person named it; such a port is never changed for another."""


@dataclass(frozen=True, slots=True)
class Models:
    """What the model server answers with."""

    embeddings: str = "hashing"
    """`hashing` or `minilm`."""
    dimension: int = 768
    alias: str = "embedding-model"
    chat_alias: str = "clinical-model"
    former: Mapping[str, int] = field(default_factory=dict)
    """Aliases that it had for embeddings before, with their dimensions: while rows are embedded
    again by another model, the bots still ask by the old one."""

    def changed(
        self,
        embeddings: str | None,
        dimension: int | None,
        alias: str | None,
        chat_alias: str | None,
    ) -> Models:
        """Return these models with what was asked for, and the earlier alias among the former."""
        name, length = alias or self.alias, dimension or self.dimension
        former = {**self.former, self.alias: self.dimension}
        former.pop(name, None)
        return Models(
            embeddings or self.embeddings, length, name, chat_alias or self.chat_alias, former
        )


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """Made once for each stack. Its `repr` shows none of them."""

    super_admin_email: str = "admin@example.com"
    super_admin_password: str = field(default_factory=_password)
    owner_email: str = "owner@clinic.example"
    owner_password: str = field(default_factory=_password)
    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    client_secret: str = field(default_factory=_password)
    llm_api_key: str = field(default_factory=lambda: f"sk-local-{_password()}")


@dataclass(frozen=True, slots=True)
class Stackfile:
    """The content of `stack.json`, a 0600 file."""

    credentials: Credentials = field(default_factory=Credentials)
    ports: Mapping[str, Port] = field(default_factory=dict)
    models: Models = field(default_factory=Models)


def load(path: Path) -> Stackfile | None:
    """Return what was remembered; None where nothing was.

    Raises:
        errors.LocalStackError: the file is broken, or of another version of medbots.
    """
    text = files.read(path)
    if text is None:
        return None
    try:
        document = json.loads(text)
        if document["version"] != VERSION:
            raise _broken(path, f"version {document['version']!r} instead of {VERSION}")
        return Stackfile(
            Credentials(**document["credentials"]),
            {name: Port(**port) for name, port in document["ports"].items()},
            Models(**document["models"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _broken(path, "it cannot be read") from error


def save(path: Path, content: Stackfile) -> None:
    """Write the file, whole or not at all.

    Raises:
        errors.StorageError: the disk is full, or the folder is not writable.
    """
    document: dict[str, Any] = {"version": VERSION, **asdict(content)}
    files.write(path, json.dumps(document, indent=2) + "\n")


def _broken(path: Path, why: str) -> errors.LocalStackError:
    return errors.LocalStackError(
        f"{path}: {why}", hint="medbots local reset makes a new stack; its data are lost"
    )
