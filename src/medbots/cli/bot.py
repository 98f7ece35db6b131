"""`bot list`, `exec` and `logs`: the deployed bots, one at a time."""

from __future__ import annotations

from typing import Annotated

import typer

from medbots import errors
from medbots.cli import options

noun = typer.Typer(
    cls=options.Group,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="The bots: which there are, one run, their runs.",
)

Key = Annotated[str, typer.Argument(metavar="KEY", help="The bot's key in the manifest.")]
OptionalKey = Annotated[
    str | None, typer.Argument(metavar="[KEY]", help="One bot's key; else all of the manifest's.")
]
Input = Annotated[
    str | None, typer.Option("--input", metavar="FILE|-", help="JSON of a file, or of stdin.")
]
Fields = Annotated[
    list[str] | None,
    typer.Option(
        "--field",
        metavar="NAME=VALUE",
        help="A member of the input, as JSON, or as text where it is no JSON; repeated.",
    ),
]
Raw = Annotated[bool, typer.Option("--raw", help="The bot's JSON on one line.")]
Timeout = Annotated[
    str, typer.Option("--timeout", metavar="DURATION", help="How long to wait for the answer.")
]
Follow = Annotated[bool, typer.Option("-f", "--follow", help="Go on with what comes.")]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="1h|DATE", help="Only what is no older: 1h, 7d, or a date."),
]
Failed = Annotated[bool, typer.Option("--failed", help="Only runs that failed.")]
Limit = Annotated[
    int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="The newest so many.")
]


def register(app: typer.Typer) -> None:
    """Add the noun to the tree."""
    app.add_typer(noun, name="bot")


@noun.command("list", cls=options.Command)
def list_(ctx: typer.Context) -> None:
    """List the manifest's bots, and what stands of them on the server."""
    from medbots.cli import bot_list, render_bots, wiring

    opts = options.of(ctx)
    render_bots.listing(opts, wiring.run(bot_list.rows(opts)))


@noun.command("exec", cls=options.Command)
def exec_(
    ctx: typer.Context,
    key: Key,
    input_: Input = None,
    field: Fields = None,
    raw: Raw = False,
    timeout: Timeout = "120s",
) -> None:
    """Run a bot as the logged-in user and print its answer; exit with 1 if it failed.

    Without --input and --field the input is an empty object. What a bot that does not ship with
    medbots says in an error may quote a record: only -v shows it.
    """
    from medbots.cli import answers, duration, given, render_bots

    opts = options.of(ctx)
    limit = duration.seconds("--timeout", timeout)
    if not limit:
        raise errors.UsageError("--timeout 0 leaves a bot no time")
    answer = answers.of(opts, key, given.body(input_, field or ()), limit)
    failed = answers.failure(opts, key, answer)
    shown = answers.document(answer, failed) if opts.json and not raw else answer
    render_bots.answer(opts, shown, raw=raw)
    answers.expect_success(opts, failed)


@noun.command("logs", cls=options.Command)
def logs(
    ctx: typer.Context,
    key: OptionalKey = None,
    follow: Follow = False,
    since: Since = None,
    failed: Failed = False,
    limit: Limit = 50,
) -> None:
    """Print a line for each run of the bots, the newest last.

    Each has its time, bot, outcome, duration, trigger, who caused it, the resource, and the first
    line of its log. The log of a bot that does not ship with medbots may quote a record: only -v
    shows it.
    """
    from medbots.cli import bot_logs, moment

    opts = options.of(ctx)
    start = moment.past("--since", since)
    choice = bot_logs.Choice(key, start, failed=failed, limit=limit)
    bot_logs.show(opts, choice, follow=follow)
