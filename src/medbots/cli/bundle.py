"""`bundle`: each bot's code as the server will get it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medbots.cli import options, wiring

Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Also write the bundles and their source maps here."),
]


def register(app: typer.Typer) -> None:
    """Add the verb to the tree."""
    app.command("bundle", cls=options.Command)(bundle)


def bundle(ctx: typer.Context, out: Out = None, only: options.Globs = None) -> None:
    """Bundle the bots and lint what came of it; reach no server."""
    from medbots import bundler
    from medbots.cli import render_bundles

    opts = options.of(ctx)
    built = wiring.examine(wiring.manifest(opts), options.pattern(only))
    if any(one.refused for one in built):
        raise bundler.refusal(built)
    files = bundler.write(built, out) if out else {}
    render_bundles.made(opts, built, files)
