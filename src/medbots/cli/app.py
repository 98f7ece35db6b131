"""The tree of commands. Each verb's module is light; what is heavy is imported when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

import medbots
from medbots.cli import (
    approvals,
    ask,
    audit,
    bot,
    bundle,
    db,
    demo,
    deploy,
    embeddings,
    local,
    login,
    options,
    profile,
    project,
    subscriptions,
    validate,
    verify,
)


class _Root(options.Group):
    """The whole tree, as a deployment goes."""

    order = (
        *("login", "logout", "whoami", "profile", "project", "validate", "bundle", "plan"),
        *("deploy", "db", "subscriptions", "verify", "bot", "embeddings", "ask", "approvals"),
        *("audit", "local", "demo"),
    )


_EXIT_CODES = """\b
Exit codes:
  0 done, or nothing to do            5 a server cannot be reached
  1 failed                           64 usage
  2 changes (if asked for)           65 manifest or bundle invalid
  3 partly applied: run it again    130 interrupted
  4 not logged in, or not allowed   141 nobody reads the output any more
"""

app = typer.Typer(
    name="medbots",
    cls=_Root,
    epilog=_EXIT_CODES,
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
    bot,
    embeddings,
    ask,
    approvals,
    audit,
    demo,
):
    module.register(app)
