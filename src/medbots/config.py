"""Settings: flag > environment > profile > manifest > default, each with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medbots import secret


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, resolved once for a run."""

    profile: str
    """Name of the profile in use; `default` where none was chosen."""
    base_url: str
    """Always with a final slash."""
    email: str | None
    password: secret.Secret | None
    client_id: str | None
    client_secret: secret.Secret | None
    access_token: secret.Secret | None
    project: str | None
    """Id or name, where the login has several memberships."""
    database_url: secret.Secret | None
    bot_database_url: secret.Secret | None
    llm_router_url: str
    bot_llm_router_url: str
    llm_api_key: secret.Secret | None
    allow_http: bool
    clinical_model: str
    embedding_model: str
    embedding_dim: int
    embedding_prefix: str
    """`none` or `nomic`: whether queries and documents get the model's task prefixes."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """For each setting where its value came from, such as `env MEDPLUM_BASE_URL`."""

    def origin(self, name: str) -> str:
        """Return the source of a setting."""
        return self.origins.get(name, "default")


def resolve(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    profile: Mapping[str, str],
    manifest: Mapping[str, object],
) -> Settings:
    """Return the settings of this run."""
    raise NotImplementedError


def state_dir(environ: Mapping[str, str]) -> Path:
    """Return the folder of sessions, profiles and the local stack."""
    raise NotImplementedError
