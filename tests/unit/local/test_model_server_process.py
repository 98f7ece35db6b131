"""The model server as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import medbots
from medbots.local import ports
from medbots.local.model_server import __main__ as model_server

pytestmark = pytest.mark.enable_socket


def _start(*options: str, key: str = "") -> subprocess.Popen[str]:
    environ = {**os.environ, "PYTHONPATH": str(Path(medbots.__file__).parents[1])}
    environ["LLM_API_KEY"] = key
    argv = [sys.executable, "-P", "-m", "medbots.local.model_server", *options]
    return subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ
    )


@contextmanager
def _serving(
    *options: str, key: str = ""
) -> Iterator[tuple[dict[str, Any], subprocess.Popen[str]]]:
    process = _start(*options, key=key)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline()), process
    finally:
        process.terminate()
        process.communicate(timeout=10)


def test_ready_key_and_end() -> None:
    """It says where it is, wants the key of its environment, and ends at SIGTERM."""
    with _serving("--dimension", "32", "--chat-alias", "wise", key="sk-plant") as (ready, process):
        assert ready["ready"] is True
        assert ready["pid"] == process.pid
        assert ready["baseUrl"] == f"http://127.0.0.1:{ready['port']}"
        assert httpx.get(f"{ready['baseUrl']}/v1/models").status_code == 401
        headers = {"Authorization": "Bearer sk-plant"}
        models = httpx.get(f"{ready['baseUrl']}/v1/models", headers=headers)
        assert [one["id"] for one in models.json()["data"]] == ["embedding-model", "wise"]
        process.terminate()
        _, log = process.communicate(timeout=10)
    assert process.returncode == -signal.SIGTERM
    assert "sk-plant" not in log


def test_a_burst() -> None:
    """Three hundred requests, sixteen at a time, are all answered within seconds."""
    body = {"model": "embedding-model", "input": "Blood pressure 150/95, " * 20}
    with _serving() as (ready, _), httpx.Client(base_url=ready["baseUrl"]) as http:
        began = time.monotonic()
        with futures.ThreadPoolExecutor(16) as threads:
            answers = list(
                threads.map(lambda _: http.post("/v1/embeddings", json=body), range(300))
            )
        took = time.monotonic() - began
    assert {answer.status_code for answer in answers} == {200}
    assert took < 10


def test_no_answer_waits_for_its_head() -> None:
    """Head and body leave at once: a client that acknowledges late would cost 40 ms a call."""
    with model_server._listen(0) as listener:
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_scenario(tmp_path: Path) -> None:
    """Faults of a scenario file are met from the first request on."""
    scenario = tmp_path / "faults.json"
    scenario.write_text('[{"kind": "429", "retryAfter": 0}]')
    body = {"model": "embedding-model", "input": "x"}
    with _serving("--scenario", str(scenario)) as (ready, _):
        codes = [
            httpx.post(f"{ready['baseUrl']}/v1/embeddings", json=body).status_code for _ in range(2)
        ]
    assert codes == [429, 200]


def test_a_port_that_is_taken() -> None:
    """A taken port ends it with one message."""
    with socket.create_server((ports.HOST, 0)) as listener:
        port = listener.getsockname()[1]
        process = _start("--port", str(port))
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (1, "")
    assert err.startswith(f"error: port {port} cannot be used")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--scenario", "/no/such/file"), "/no/such/file"),
        (("--dimension", "1"), "--dimension"),
        (("--embeddings", "gpt"), "--embeddings"),
        (("--port", "65536"), "65536"),
    ],
)
def test_options_that_cannot_be(options: tuple[str, ...], said: str) -> None:
    """Each ends it with a message and without a traceback."""
    process = _start(*options)
    out, err = process.communicate(timeout=20)
    assert process.returncode not in (0, None)
    assert out == ""
    assert said in err
    assert "Traceback" not in err


def test_further_models() -> None:
    """Each further alias has its own dimension, beside the others; chat is not offered by it."""
    with _serving("--dimension", "32", "--also", "wide=48", "--also", "twin=32") as (ready, _):
        url = f"{ready['baseUrl']}/v1"
        models = httpx.get(f"{url}/models").json()["data"]
        aliases = ["embedding-model", "clinical-model", "wide", "twin"]
        assert [one["id"] for one in models] == aliases
        lengths = {}
        for alias in ("embedding-model", "wide", "twin"):
            answer = httpx.post(f"{url}/embeddings", json={"model": alias, "input": "fever"})
            lengths[answer.json()["model"]] = len(answer.json()["data"][0]["embedding"])
        assert lengths == {
            "offline-stand-in/feature-hashing-32": 32,
            "offline-stand-in/feature-hashing-48": 48,
        }
        body = {"model": "wide", "messages": [{"role": "user", "content": "hello"}]}
        assert httpx.post(f"{url}/chat/completions", json=body).status_code == 404


@pytest.mark.parametrize("given", ["wide", "=4", "wide=many", "wide=1"])
def test_a_further_model_without_a_dimension(
    given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is no alias with a dimension ends the start with the form that is wanted."""
    assert model_server.main(["--also", given]) == 64
    assert "dimension" in capsys.readouterr().err.lower()
