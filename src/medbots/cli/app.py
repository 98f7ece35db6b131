"""The tree of commands. Each verb's module is light; what is heavy is imported when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

import medbots
from medbots.cli import (
    bundle,
    db,
    demo,
    deploy,
    local,
    login,
    options,
    profile,
    project,
    subscriptions,
    validate,
    verify,
)

app = typer.Typer(
    name="medbots",
    cls=options.Group,
    help=medbots.__doc__,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    add_completion=False,
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"medbots {medbots.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Deploy, verify and repair AI bots on a self-hosted Medplum."""


for module in (
    login,
    profile,
    deploy,
    subscriptions,
    project,
    validate,
    bundle,
    db,
    local,
    verify,
    demo,
):
    module.register(app)
