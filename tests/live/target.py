"""Which running stack the live suite drives: the local one, or any Medplum by environment."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass

OTHERS = (
    "MEDBOTS_BOT_DATABASE_URL",
    "MEDBOTS_BOT_LLM_ROUTER_URL",
    "MEDBOTS_ALLOW_HTTP",
    "CLINICAL_MODEL",
    "EMBEDDING_MODEL",
    "EMBEDDING_DIM",
    "EMBEDDING_PREFIX_MODE",
)
REQUIRED = ("MEDPLUM_BASE_URL", "MEDPLUM_EMAIL", "MEDPLUM_PASSWORD", "MEDBOTS_DATABASE_URL")


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """An e-mail address and its password."""

    email: str
    password: str


@dataclass(frozen=True, slots=True, repr=False)
class Target:
    """A running stack. Its `repr` shows nothing of it, for a failed test prints its arguments."""

    base_url: str
    """Ends in a slash."""
    owner: Login
    """Project admin of the project under test; no more than that."""
    project: str | None
    """Id or name, where the owner is a member of several."""
    database_url: str
    """A role that may create schemas and roles."""
    router_url: str | None
    router_key: str | None
    super_admin: Login | None
    """None: the cases that need one are skipped, each with that reason."""
    others: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Further settings of medbots that the environment gives, by variable."""

    def with_router(self, url: str, key: str | None) -> Target:
        """Return this target with another model router."""
        return dataclasses.replace(self, router_url=url, router_key=key)

    def environment(self) -> dict[str, str]:
        """Return the settings of `medbots` for this target."""
        settings = {
            **self.others,
            "MEDPLUM_BASE_URL": self.base_url,
            "MEDPLUM_EMAIL": self.owner.email,
            "MEDPLUM_PASSWORD": self.owner.password,
            "MEDPLUM_PROJECT": self.project,
            "MEDBOTS_DATABASE_URL": self.database_url,
            "LLM_ROUTER_URL": self.router_url,
            "LLM_API_KEY": self.router_key,
        }
        return {name: value for name, value in settings.items() if value}


def given(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether the environment names a Medplum; half a description is an error."""
    present = [name for name in REQUIRED if environ.get(name)]
    if present and len(present) != len(REQUIRED):
        missing = ", ".join(name for name in REQUIRED if name not in present)
        message = f"the live suite needs all of {', '.join(REQUIRED)}; not set: {missing}"
        raise ValueError(message)
    return bool(present)


def from_settings(settings: Mapping[str, str], super_admin: Login | None) -> Target:
    """Return the target that settings, named as environment variables, describe."""
    return Target(
        base_url=settings["MEDPLUM_BASE_URL"].rstrip("/") + "/",
        owner=Login(settings["MEDPLUM_EMAIL"], settings["MEDPLUM_PASSWORD"]),
        project=settings.get("MEDPLUM_PROJECT"),
        database_url=settings["MEDBOTS_DATABASE_URL"],
        router_url=settings.get("LLM_ROUTER_URL"),
        router_key=settings.get("LLM_API_KEY"),
        super_admin=super_admin,
        others={name: settings[name] for name in OTHERS if settings.get(name)},
    )


def from_environment(environ: Mapping[str, str] = os.environ) -> Target:
    """Return the target that the environment names."""
    email = environ.get("MEDPLUM_SUPER_EMAIL")
    password = environ.get("MEDPLUM_SUPER_PASSWORD")
    return from_settings(environ, Login(email, password) if email and password else None)
