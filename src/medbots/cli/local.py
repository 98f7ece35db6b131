"""`local up`, `status`, `logs`, `down` and `reset`: the whole stack on this machine."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medbots import config, errors
from medbots.cli import interruption, options, prompts, render, render_local, wiring

if TYPE_CHECKING:
    from medbots.local.supervisor import Supervisor, Wish

PROFILE = "local"
_ENV = "env"

noun = typer.Typer(
    cls=options.Group,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="The whole stack on this machine, without Docker.",
)

Port = Annotated[
    int | None,
    typer.Option(
        min=1, max=65535, metavar="PORT", help="Else the one of before, the usual, or a free one."
    ),
]
Service = Annotated[
    str | None, typer.Argument(metavar="[SERVICE]", help="postgres, models or medplum; else all.")
]
Follow = Annotated[bool, typer.Option("-f", "--follow", help="Go on with what comes.")]
Lines = Annotated[int, typer.Option("-n", "--lines", metavar="N", min=0, help="How many lines.")]
Embeddings = Annotated[
    str | None,
    typer.Option(
        "--embeddings",
        metavar="hashing|minilm",
        help="What makes the vectors: hashed words, or a real small model (medbots[minilm]).",
    ),
]


class _StatusCommand(options.Command):
    formats = (*options.Format, _ENV)


def register(app: typer.Typer) -> None:
    """Add the noun to the tree."""
    app.add_typer(noun, name="local")


@noun.command("up", cls=options.Command)
def up(
    ctx: typer.Context,
    medplum_port: Port = None,
    postgres_port: Port = None,
    models_port: Port = None,
    embeddings: Embeddings = None,
) -> None:
    """Start Postgres, a Medplum-compatible server and a model server; write profile `local`."""
    opts = options.of(ctx)
    ports = {"medplum": medplum_port, "postgres": postgres_port, "models": models_port}
    wish = _wish(opts, ports, embeddings)
    stack = supervisor()
    with interruption.by_termination():
        profile = stack.up(wish, render_local.narrator())
        wiring.sessions().profiles.write(PROFILE, profile)
    render_local.is_up(opts, stack.status(), PROFILE)


@noun.command("status", cls=_StatusCommand)
def status(ctx: typer.Context) -> None:
    """Show each service with its URL and pid; `--format env` prints exports for a shell."""
    opts = options.of(ctx)
    stack = supervisor()
    if opts.format == _ENV:
        render_local.exports(stack.profile())
    else:
        render_local.status(opts, stack.status())


@noun.command("logs", cls=options.Command)
def logs(
    ctx: typer.Context, service: Service = None, follow: Follow = False, lines: Lines = 50
) -> None:
    """Print the last lines of the services' logs, and with --follow what comes."""
    from medbots.local import logs as log_files

    opts = options.of(ctx)
    files = _logs_of(service)
    last = [(name, line) for name, file in files.items() for line in log_files.tail(file, lines)]
    coming = log_files.follow(files) if follow else ()
    render_local.log_lines(opts, itertools.chain(last, coming), follow=follow)


@noun.command("down", cls=options.Command)
def down(ctx: typer.Context) -> None:
    """Stop the services; their data stay."""
    opts = options.of(ctx)
    stack = supervisor()
    if not stack.down(render_local.narrator()):
        render.note("nothing runs")
    if opts.json:
        render_local.status(opts, stack.status())


@noun.command("reset", cls=options.Command)
def reset(ctx: typer.Context) -> None:
    """Stop the services and delete their data, credentials and logs, and the profile `local`."""
    opts = options.of(ctx)
    stack = supervisor()
    folder = stack.layout.root
    if not folder.exists():
        render.note(f"there is no local stack: {folder} does not exist")
        return
    render.note(
        f"this deletes {folder} ({render_local.megabytes(stack.size())}): "
        f"databases, credentials and logs; and the profile {PROFILE!r}"
    )
    prompts.confirm(opts, "Delete them?")
    stack.reset(render_local.narrator())
    _forget_profile()


def supervisor() -> Supervisor:
    """Return the stack of this state folder."""
    from medbots.local import supervisor as supervisor_module

    return supervisor_module.Supervisor(config.state_dir(os.environ) / "local")


def _forget_profile() -> None:
    sessions = wiring.sessions()
    if PROFILE in sessions.profiles.names():
        sessions.profiles.remove(PROFILE)
    sessions.forget(PROFILE)


def _wish(opts: options.Options, ports: dict[str, int | None], embeddings: str | None) -> Wish:
    """Return what is asked of the stack: the models answer as the manifest wants it."""
    from medbots.local import supervisor as supervisor_module

    if embeddings not in (None, "hashing", "minilm"):
        raise errors.UsageError(f"--embeddings: {embeddings!r} is neither 'hashing' nor 'minilm'")
    settings = wiring.settings(opts, wiring.manifest(opts))
    return supervisor_module.Wish(
        {name: port for name, port in ports.items() if port is not None},
        embeddings,
        settings.embedding_dim,
        settings.embedding_model,
        settings.clinical_model,
    )


def _logs_of(service: str | None) -> dict[str, Path]:
    """Return the log files that are meant.

    Raises:
        errors.UsageError: there is no such service.
        errors.LocalStackError: there is no stack.
    """
    files = supervisor().logs()
    if not files:
        raise errors.LocalStackError("there is no local stack yet", hint="medbots local up")
    if service is None:
        return files
    if service not in files:
        raise errors.UsageError(
            f"there is no service {service!r}", hint=f"medbots local logs {' | '.join(files)}"
        )
    return {service: files[service]}
