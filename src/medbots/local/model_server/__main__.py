"""`python -m medbots.local.model_server --port N`: serves on the loopback address only.

An API key, where one is wanted, comes by the environment variable LLM_API_KEY. One JSON line on
stdout says when the server is ready; the log, a JSON line a request, goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from medbots import errors, secret
from medbots.local.model_server import app, catalogue, fault_documents, faults, hashing

HOST = "127.0.0.1"
_BACKLOG = 512


def main(args: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM; return the exit code."""
    options = _parser().parse_args(args)
    try:
        server = _server(options)
        listener = _listen(options.port)
    except errors.MedbotsError as error:
        sys.stderr.write(f"error: {error.message}\n")
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
        return error.exit_code
    _serve(server, listener)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="medbots.local.model_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--dimension", type=int, default=768)
    parser.add_argument("--alias", default="embedding-model", help="the model of the embeddings")
    parser.add_argument(
        "--also",
        action="append",
        default=[],
        metavar="ALIAS=DIMENSION",
        help="a further model of embeddings; may be repeated",
    )
    parser.add_argument("--chat-alias", default="clinical-model", help="the model of the chat")
    parser.add_argument("--embeddings", choices=("hashing", "minilm"), default="hashing")
    parser.add_argument("--scenario", type=Path, help="JSON file of faults")
    return parser


def _server(options: argparse.Namespace) -> app.ModelServer:
    further = dict(_further(text) for text in options.also)
    if not all(2 <= one <= 16_000 for one in (options.dimension, *further.values())):  # noqa: PLR2004
        raise errors.UsageError("--dimension, and each of --also, must be a number from 2 to 16000")
    key = os.environ.get("LLM_API_KEY")
    embed, engine = _engine(options, min(options.dimension, *further.values(), 16_000))
    models = catalogue.Catalogue(
        engine, options.dimension, options.alias, options.chat_alias, further
    )
    waiting = faults.Faults(_scenario(options.scenario))
    return app.ModelServer(embed, models, secret.Secret(key) if key else None, waiting, log=_log)


def _further(text: str) -> tuple[str, int]:
    alias, _, dimension = text.rpartition("=")
    if not alias or not dimension.isdecimal():
        raise errors.UsageError(f"--also {text}: not of the form ALIAS=DIMENSION")
    return alias, int(dimension)


def _engine(
    options: argparse.Namespace, least: int
) -> tuple[Callable[[str, int], Sequence[float]], str]:
    if options.embeddings == "hashing":
        return hashing.embed, hashing.NAME
    from medbots.local.model_server import minilm  # noqa: PLC0415

    return minilm.MiniLm(least).embed, minilm.NAME


def _scenario(file: Path | None) -> list[faults.Fault]:
    if file is None:
        return []
    try:
        return fault_documents.parse(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise errors.UsageError(f"{file}: {error}") from error


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Connections inherit it. Without it, a body waits 40 ms for the client to acknowledge the head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((HOST, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise errors.LocalStackError(f"port {port} cannot be used: {error}") from error
    listener.listen(_BACKLOG)
    return listener


def _serve(server: app.ModelServer, listener: socket.socket) -> None:
    import uvicorn  # noqa: PLC0415

    port = listener.getsockname()[1]
    config = uvicorn.Config(
        server.app(),
        lifespan="off",
        ws="none",
        http="h11",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    ready = {"ready": True, "port": port, "pid": os.getpid(), "baseUrl": f"http://{HOST}:{port}"}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    uvicorn.Server(config).run(sockets=[listener])


def _log(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
