"""The noun `embeddings`, with `search`: by meaning, by the bot that keeps to the asker's rights."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from medbots import errors
from medbots.cli import embeddings_reconcile, embeddings_status, options

BOT = "semantic-search"
_ACROSS = (
    "--patient ID searches one patient's record; across patients a Practitioner alone may, and "
    "medbots whoami shows who is logged in"
)

noun = typer.Typer(
    cls=options.Group,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="The vectors of the clinical records.",
)

Query = Annotated[str, typer.Argument(metavar="QUERY", help="What is sought, in words.")]
Patient = Annotated[
    str | None, typer.Option("--patient", metavar="ID", help="Only in this patient's record.")
]
Types = Annotated[
    list[str] | None,
    typer.Option("--type", metavar="TYPE,…", help="Only such resources; several, or repeated."),
]
ContentType = Annotated[
    str | None,
    typer.Option(
        "--content-type",
        metavar="structured|note",
        help="Only what coded fields say, or only somebody's own words.",
    ),
]
Since = Annotated[
    str | None, typer.Option("--since", metavar="DATE", help="Only from this day on.")
]
Until = Annotated[str | None, typer.Option("--until", metavar="DATE", help="Only up to this day.")]
Limit = Annotated[
    int | None, typer.Option("--limit", metavar="N", min=1, max=50, help="At most so many.")
]
MinSimilarity = Annotated[
    float | None,
    typer.Option("--min-similarity", metavar="0..1", min=0, max=1, help="Only what is as near."),
]
NoSnippets = Annotated[bool, typer.Option("--no-snippets", help="No text of the records.")]


def register(app: typer.Typer) -> None:
    """Add the noun to the tree."""
    embeddings_status.register(noun)
    embeddings_reconcile.register(noun)
    app.add_typer(noun, name="embeddings")


@noun.callback()
def _noun() -> None:
    """Keep the noun a group."""


@noun.command("search", cls=options.Command)
def search(
    ctx: typer.Context,
    query: Query,
    patient: Patient = None,
    types: Types = None,
    content_type: ContentType = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    min_similarity: MinSimilarity = None,
    no_snippets: NoSnippets = False,
) -> None:
    """Find records by meaning, as the logged-in user: only what that user may read.

    Without --patient it searches across patients, which only a Practitioner may.
    The Semantic Search Bot does it, and audits it. JSON is the bot's own answer.
    """
    from medbots.cli import answers, render_search

    opts = options.of(ctx)
    question = _question(query, patient, types, content_type, since, until, limit, min_similarity)
    if no_snippets:
        question["includeSnippets"] = False
    answer = answers.of(opts, BOT, question)
    cures = {"UNAUTHORIZED": _ACROSS} if patient is None else None
    render_search.results(opts, answers.finished(opts, BOT, answer, cures), question)


def _question(
    query: str,
    patient: str | None,
    types: list[str] | None,
    content_type: str | None,
    since: str | None,
    until: str | None,
    limit: int | None,
    min_similarity: float | None,
) -> dict[str, Any]:
    """Return the bot's input; what is not given is left to the bot."""
    from medbots import inventory
    from medbots.cli import moment, references

    dates = {
        "start": moment.date("--since", since),
        "end": moment.date("--until", until),
    }
    if since and until and str(dates["start"]) > str(dates["end"]):
        raise errors.UsageError(
            f"--since {since} is after --until {until}: no day lies between them"
        )
    given: dict[str, Any] = {
        "query": query,
        "patientId": references.identifier("--patient", patient, "Patient"),
        "resourceTypes": references.embedded("--type", types),
        "contentType": references.one_of(
            "--content-type", content_type, inventory.CONTENT, "is no kind of content"
        ),
        "dateRange": {name: value for name, value in dates.items() if value is not None},
        "limit": limit,
        "minSimilarity": min_similarity,
    }
    return {name: value for name, value in given.items() if value is not None and value != {}}
