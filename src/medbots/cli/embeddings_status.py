"""`embeddings status`: what the server holds, and what of it can be found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from medbots.cli import inventory, options, wiring

if TYPE_CHECKING:
    from medbots.inventory import Inventory

DIFFERENT = 2
"""Exit code of `--detailed-exitcode` when there is a difference."""

Types = Annotated[
    list[str] | None,
    typer.Option("--type", metavar="TYPE,…", help="Only such resources; several, or repeated."),
]
DetailedExitcode = Annotated[
    bool, typer.Option("--detailed-exitcode", help="Exit with 2 when there is a difference.")
]


def register(noun: typer.Typer) -> None:
    """Add the verb to `embeddings`."""
    noun.command("status", cls=options.Command)(status)


def status(
    ctx: typer.Context, types: Types = None, detailed_exitcode: DetailedExitcode = False
) -> None:
    """Compare every record of the project with its vectors, and change nothing.

    Needs the database and a project admin without an AccessPolicy.
    """
    from medbots import inventory as words
    from medbots.cli import render_inventory

    opts = options.of(ctx)
    found = wiring.run(_count(opts, inventory.kinds(types)))
    render_inventory.status(opts, found)
    if detailed_exitcode and words.difference(found.types):
        raise typer.Exit(DIFFERENT)


async def _count(opts: options.Options, kinds: tuple[str, ...]) -> Inventory:
    from medbots.cli import render_inventory
    from medbots.embeddings import inventory as looking

    async with inventory.opened(opts) as sides:
        total = sum([await sides.server.total(kind) for kind in kinds])
        with render_inventory.Progress(opts, "comparing", total) as shown:
            return await looking.count(sides.server, sides.store, kinds, advance=shown.looked_at)
