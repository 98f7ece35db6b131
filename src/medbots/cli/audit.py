"""`audit`: the trail that the bots leave, without a word of a record."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated

import typer

from medbots import errors
from medbots.cli import options

if TYPE_CHECKING:
    from medbots.bots.trail import Event, Query


class Outcome(enum.StrEnum):
    """How an event ended."""

    OK = "ok"
    FAILED = "failed"


Type = Annotated[
    str | None, typer.Option("--type", metavar="TYPE", help="Such as command_blocked.")
]
Patient = Annotated[
    str | None, typer.Option("--patient", metavar="ID", help="Events that concern a patient.")
]
Bot = Annotated[str | None, typer.Option("--bot", metavar="KEY", help="What one bot did.")]
User = Annotated[
    str | None,
    typer.Option("--user", metavar="ID", help="What a practitioner, or a Type/ID, asked for."),
]
OutcomeIs = Annotated[
    Outcome | None, typer.Option("--outcome", metavar="ok|failed", help="How it ended.")
]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="1h|DATE", help="Only what is no older: 1h, 7d, or a date."),
]
Until = Annotated[
    str | None,
    typer.Option("--until", metavar="1h|DATE", help="Only what is older; a date includes its day."),
]
Limit = Annotated[
    int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="The newest so many.")
]
Command = Annotated[
    str | None, typer.Option("--command-id", metavar="ID", help="The trail of one command.")
]


def register(app: typer.Typer) -> None:
    """Add the verb to the tree."""
    app.command("audit", cls=options.Command)(audit)


def audit(
    ctx: typer.Context,
    type_: Type = None,
    patient: Patient = None,
    bot: Bot = None,
    user: User = None,
    outcome: OutcomeIs = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    command_id: Command = None,
) -> None:
    """Show what the bots wrote into the audit trail, the newest last.

    Times, codes, ids and counts only: no text of a record, of a question or of a model.
    """
    from medbots.bots import trail
    from medbots.cli import moment, references, render_audit, wiring

    opts = options.of(ctx)
    query = trail.Query(
        type=_known(type_),
        patient=references.reference("--patient", patient, "Patient"),
        user=references.reference("--user", user, "Practitioner", others=True),
        ok=None if outcome is None else outcome is Outcome.OK,
        since=moment.past("--since", since),
        until=moment.past("--until", until, whole_day=True),
        command=references.command("--command-id", command_id),
        limit=limit,
    )
    render_audit.events(opts, query, *wiring.run(_events(opts, query, bot)))


def _known(type_: str | None) -> str | None:
    """Return a type that the bots write; what they never write would be found never.

    Raises:
        errors.UsageError: it is none.
    """
    import difflib

    from medbots.bots import trail

    if type_ is None or type_ in trail.TYPES:
        return type_
    near = difflib.get_close_matches(type_, trail.TYPES, n=1)
    raise errors.UsageError(
        f"--type: no bot writes events of type {type_!r}",
        hint=f"did you mean {near[0]}?" if near else f"types: {', '.join(trail.TYPES)}",
    )


async def _events(opts: options.Options, query: Query, key: str | None) -> tuple[list[Event], bool]:
    from dataclasses import replace

    from medbots.bots import deployed, trail
    from medbots.cli import wiring

    the_manifest = wiring.manifest(opts)
    async with wiring.connected(wiring.settings(opts, the_manifest)) as client:
        bots = await deployed.bots(client, the_manifest.namespace)
        if key is not None:
            wanted = [bot.key for bot in the_manifest.bots]
            query = replace(query, bot=deployed.pick(client, bots, key, wanted))
        return await trail.events(client, the_manifest.namespace, query, bots)
