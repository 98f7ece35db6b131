"""`validate`: the manifest, the bundles and their lint, without any network."""

from __future__ import annotations

import typer

from medbots import errors
from medbots.cli import options, wiring


def register(app: typer.Typer) -> None:
    """Add the verb to the tree."""
    app.command("validate", cls=options.Command)(validate)


def validate(ctx: typer.Context) -> None:
    """Check the manifest and every bot's bundle; reach no server."""
    from medbots import bundler
    from medbots.cli import render_bundles

    opts = options.of(ctx)
    try:
        found = wiring.manifest(opts)
    except errors.ManifestError as error:
        raise render_bundles.invalid(opts, error) from error
    built = wiring.examine(found)
    render_bundles.judged(opts, found, built)
    if any(one.refused for one in built):
        refusal = bundler.refusal(built)
        refusal.reported = opts.json
        raise refusal
