"""`db recall`: what the default search finds of what an exact one finds, on the real rows."""

from __future__ import annotations

import time
import uuid
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from medbots import errors
from medbots.cli import options, render, render_recall, store, wiring

if TYPE_CHECKING:
    from medbots import config
    from medbots.database.connection import Connection
    from medbots.database.recall import Recall

SAMPLE = 100
THRESHOLD = 0.95
_FEWEST = 5

Sample = Annotated[
    int, typer.Option("--sample", metavar="N", min=_FEWEST, max=10_000, help="So many queries.")
]
Threshold = Annotated[
    float,
    typer.Option("--threshold", metavar="0..1", min=0, max=1, help="Exit with 1 below this."),
]
ProjectId = Annotated[
    str | None,
    typer.Option("--project-id", metavar="ID", help="Whose rows; needed where there are several."),
]
Type = Annotated[
    str | None, typer.Option("--type", metavar="TYPE", help="Search such resources alone.")
]
Seed = Annotated[
    int, typer.Option("--seed", metavar="N", min=0, help="Another one takes other queries.")
]


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured, on what."""

    database: str
    project_id: str
    model_version: str
    resource_type: str | None
    seed: int
    threshold: float
    found: Recall
    indexed: bool
    """Whether a valid index serves the model."""
    duration_ms: int

    @property
    def warnings(self) -> tuple[str, ...]:
        """What keeps the figure from saying anything of an index."""
        if not self.indexed and "type" not in self.found.ways:
            said = (
                f"no valid index serves {self.model_version}: every query compared with all rows; "
                "medbots db maintain builds it"
            )
        elif not self.found.by_index:
            said = (
                "no query went through the index: so few rows are all compared with, and the "
                "recall says nothing of the index"
            )
        else:
            return ()
        return (said,)

    @property
    def ok(self) -> bool:
        """Whether the threshold is reached."""
        return self.found.recall >= self.threshold


def register(noun: typer.Typer) -> None:
    """Add the verb to `db`."""
    noun.command("recall", cls=options.Command)(recall)


def recall(
    ctx: typer.Context,
    sample: Sample = SAMPLE,
    threshold: Threshold = THRESHOLD,
    project_id: ProjectId = None,
    resource_type: Type = None,
    seed: Seed = 1,
) -> None:
    """Measure recall@10 and the times of the default search against an exact one.

    Queries are made from stored vectors; no text is read. Needs a login only where several
    projects have rows and --project-id is not given.
    """
    opts = options.of(ctx)
    report = wiring.run(_measure(opts, sample, threshold, project_id, resource_type, seed))
    render_recall.report(opts, report)
    if not report.ok:
        raise typer.Exit(errors.CheckFailedError.exit_code)


async def _measure(
    opts: options.Options,
    sample: int,
    threshold: float,
    project_id: str | None,
    resource_type: str | None,
    seed: int,
) -> Report:
    from medbots import inventory
    from medbots.cli import references
    from medbots.database import recall as recall_module

    references.one_of(
        "--type", resource_type, inventory.TYPES, "is no type of which records are embedded"
    )
    settings = wiring.settings(opts, wiring.manifest(opts))
    model = store.wish(settings, "").model_version
    given = None if project_id is None else _uuid(project_id)
    started = time.perf_counter()
    async with store.connected(settings) as connection:
        whose = await _project(connection, settings, model, given)
        indexed = await recall_module.indexed(connection, model)
        with render.progress(opts, "ask", sample) as advance:
            answers = []
            async with aclosing(
                recall_module.ask(
                    connection,
                    whose,
                    model,
                    sample=sample,
                    resource_type=resource_type,
                    seed=seed,
                )
            ) as asked:
                async for answer in asked:
                    answers.append(answer)
                    advance()
    if len(answers) < _FEWEST:
        what = f"{resource_type} of " if resource_type else ""
        raise errors.DatabaseError(
            f"too few rows to judge by: {len(answers)} queries could be made from the rows of "
            f"{what}project {whose} and model {model}; {_FEWEST} are the fewest",
            hint="medbots db status shows how many rows there are",
        )
    duration = round((time.perf_counter() - started) * 1000)
    found = recall_module.summarise(answers)
    where = store.name(settings)
    return Report(where, whose, model, resource_type, seed, threshold, found, indexed, duration)


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise errors.UsageError(
            f"--project-id {text!r} is no UUID", hint="medbots whoami shows the project's id"
        ) from None


async def _project(
    connection: Connection, settings: config.Settings, model: str, given: str | None
) -> str:
    """Return whose rows are meant: as given, the only one's that has any, or the login's."""
    from medbots.database import recall as recall_module

    known = await recall_module.projects(connection, model)
    if given is not None:
        return given
    if not known:
        raise errors.DatabaseError(
            f"no row of model {model} is in the store",
            hint="medbots db status shows what is there; EMBEDDING_MODEL, EMBEDDING_DIM and "
            "EMBEDDING_PREFIX_MODE say which model is in use",
        )
    if len(known) == 1:
        return known[0]
    try:
        async with wiring.connected(settings) as client:
            return str(client.project.id)
    except errors.NotLoggedInError:
        raise errors.UsageError(
            f"several projects have rows: {', '.join(known)}",
            hint="--project-id ID, or medbots login",
        ) from None
