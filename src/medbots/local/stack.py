"""The local stack: which services there are, where their things lie, what they are told."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import medbots
from medbots import assets, errors
from medbots.local import node, ports, program, stackfile
from medbots.local.database_service import DatabaseService
from medbots.local.service import Service

POSTGRES, MODELS, MEDPLUM = SERVICES = ("postgres", "models", "medplum")
"""In the order of starting; stopping goes the other way."""
PREFERRED = {POSTGRES: 5433, MODELS: 8080, MEDPLUM: 8103}
"""Taken when they are free: the ports that medbots' defaults point to."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the stack keeps its things. Everything lies below `root`, but the lock."""

    root: Path

    @property
    def lock(self) -> Path:
        """Outside, so that a reset does not delete the file that is locked."""
        return self.root.with_name(f"{self.root.name}.lock")

    @property
    def stackfile(self) -> Path:
        """Ports and credentials."""
        return self.root / "stack.json"

    @property
    def configuration(self) -> Path:
        """What the Medplum-compatible server reads."""
        return self.root / "medplum.json"

    def data(self, service: str) -> Path:
        """The folder of a service's data."""
        return self.root / "data" / service

    def log(self, service: str) -> Path:
        """The log of a service."""
        return self.root / "logs" / f"{service}.log"

    def record(self, service: str) -> Path:
        """Which process a service is."""
        return self.root / "run" / f"{service}.json"


def services(layout: Layout, content: stackfile.Stackfile) -> dict[str, Service]:
    """Return the services, in the order of starting."""
    port = {name: content.ports[name].number for name in SERVICES}
    return {
        POSTGRES: DatabaseService(layout.data(POSTGRES), port[POSTGRES]),
        MODELS: _models(layout, content, port[MODELS]),
        MEDPLUM: _medplum(layout, content, port[MEDPLUM]),
    }


def profile(layout: Layout, content: stackfile.Stackfile) -> dict[str, str]:
    """Return the settings that reach this stack, by the names of their environment variables.

    Raises:
        errors.LocalStackError: its database was never started.
    """
    database = DatabaseService(layout.data(POSTGRES), content.ports[POSTGRES].number)
    return {
        "MEDPLUM_BASE_URL": _base_url(content.ports[MEDPLUM].number),
        "MEDPLUM_EMAIL": content.credentials.owner_email,
        "MEDPLUM_PASSWORD": content.credentials.owner_password,
        "MEDPLUM_PROJECT": stackfile.PROJECT,
        "MEDBOTS_DATABASE_URL": database.login.reveal(),
        "LLM_ROUTER_URL": _router_url(content.ports[MODELS].number),
        "LLM_API_KEY": content.credentials.llm_api_key,
    }


def require_platform() -> None:
    """Refuse where the stack cannot run.

    Raises:
        errors.LocalStackError: on Windows.
    """
    if sys.platform == "win32":
        raise errors.LocalStackError(
            "the local stack runs on Linux and macOS", hint="run medbots inside WSL 2"
        )


def _import_path() -> dict[str, str]:
    """Return what lets a child import medbots, also from a checkout that is not installed."""
    return {"PYTHONPATH": str(Path(medbots.__file__).resolve().parent.parent)}


def _base_url(port: int) -> str:
    return f"http://localhost:{port}/"


def _router_url(port: int) -> str:
    return f"http://{ports.HOST}:{port}"


def _models(layout: Layout, content: stackfile.Stackfile, port: int) -> program.Program:
    models = content.models
    options: Mapping[str, str] = {
        "--port": str(port),
        "--dimension": str(models.dimension),
        "--alias": models.alias,
        "--chat-alias": models.chat_alias,
        "--embeddings": models.embeddings,
    }
    # -P: a module of the folder where medbots was called must not take the place of ours.
    argv = [sys.executable, "-P", "-m", "medbots.local.model_server"]
    argv += [part for option in options.items() for part in option]
    argv += [f"--also={alias}={dimension}" for alias, dimension in models.former.items()]
    return program.Program(
        MODELS,
        _router_url(port),
        lambda: argv,
        "/health/liveliness",
        layout.log(MODELS),
        layout.record(MODELS),
        {"LLM_API_KEY": content.credentials.llm_api_key, **_import_path()},
        build=lambda: medbots.__version__,
    )


def _medplum(layout: Layout, content: stackfile.Stackfile, port: int) -> program.Program:
    return program.Program(
        MEDPLUM,
        _base_url(port),
        lambda: [str(node.find()), str(assets.local_server()), str(layout.configuration)],
        "/healthcheck",
        layout.log(MEDPLUM),
        layout.record(MEDPLUM),
        configuration=(layout.configuration, _medplum_configuration(layout, content, port)),
        build=_server_build,
    )


def _server_build() -> str:
    made = assets.local_server().stat()
    return f"{made.st_size}:{made.st_mtime_ns}"


def _medplum_configuration(layout: Layout, content: stackfile.Stackfile, port: int) -> str:
    known = content.credentials
    document = {
        "port": port,
        "dataDir": str(layout.data(MEDPLUM)),
        "superAdmin": {
            "email": known.super_admin_email,
            "password": known.super_admin_password,
        },
        "projects": [
            {
                "name": stackfile.PROJECT,
                "features": list(stackfile.FEATURES),
                "owner": {
                    "email": known.owner_email,
                    "password": known.owner_password,
                    "firstName": "Olivia",
                    "lastName": "Owner",
                },
                "client": {"id": known.client_id, "secret": known.client_secret},
            }
        ],
    }
    return json.dumps(document, indent=2) + "\n"
