"""`approvals`: the commands that wait for a person, and that person's decisions."""

from __future__ import annotations

from typing import Annotated

import typer

from medbots.cli import options

noun = typer.Typer(
    cls=options.Group,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="The commands that wait for a person's approval.",
)

TaskId = Annotated[str, typer.Argument(metavar="ID", help="The Task's id.")]
All = Annotated[bool, typer.Option("--all", help="Those that are over too.")]
Patient = Annotated[
    str | None, typer.Option("--patient", metavar="ID", help="Only of this patient.")
]
Command = Annotated[
    str | None, typer.Option("--command", metavar="NAME", help="Such as SuggestBillingCodes.")
]
Mine = Annotated[bool, typer.Option("--mine", help="Only what the logged-in user handed in.")]
Limit = Annotated[
    int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="The newest so many.")
]
Reason = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Why; it stays in the Task.")
]
WhyNot = Annotated[
    str,
    typer.Option(
        "--reason",
        metavar="CODE|TEXT",
        help="not-indicated, inaccurate, incomplete, duplicate, patient-preference, other; "
        "or words, which stay in the Task.",
    ),
]
Modify = Annotated[
    str | None,
    typer.Option(
        "--modify",
        metavar="FILE|-",
        help="JSON object of parameters that replace the command's own.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the noun to the tree."""
    app.add_typer(noun, name="approvals")


@noun.command("list", cls=options.Command)
def list_(
    ctx: typer.Context,
    all_: All = False,
    patient: Patient = None,
    command: Command = None,
    mine: Mine = False,
    limit: Limit = 100,
) -> None:
    """List the commands that wait, the newest last: ids and codes, no text of a record."""
    from medbots.bots import approvals
    from medbots.cli import approval_desk, references, render_approvals, wiring

    opts = options.of(ctx)
    query = approvals.Query(
        closed=all_,
        patient=references.reference("--patient", patient, "Patient"),
        command=approval_desk.known_command(command),
        limit=limit,
    )
    found, more = wiring.run(approval_desk.listed(opts, query, mine=mine))
    render_approvals.listing(opts, found, more=more)


@noun.command("show", cls=options.Command)
def show(ctx: typer.Context, task: TaskId) -> None:
    """Show a command as it was handed in, its sources, and what was decided on it."""
    from medbots.cli import approval_desk, references, render_approvals, wiring

    opts = options.of(ctx)
    task_id = references.required("ID", task, "Task")
    found, _ = wiring.run(approval_desk.opened(opts, task_id))
    render_approvals.dossier(opts, found)


@noun.command("approve", cls=options.Command)
def approve(ctx: typer.Context, task: TaskId, reason: Reason = None, modify: Modify = None) -> None:
    """Approve a command as the logged-in practitioner; the Approval Queue Bot carries it out.

    It shows what will happen and asks. Without a terminal, or with --non-interactive, --yes is
    needed: there is nobody to ask.
    """
    from medbots.cli import approval_desk, given, references

    opts = options.of(ctx)
    changes = None if modify is None else given.members("--modify", modify)
    task_id = references.required("ID", task, "Task")
    approval_desk.approve(opts, task_id, reason, changes)


@noun.command("reject", cls=options.Command)
def reject(ctx: typer.Context, task: TaskId, reason: WhyNot) -> None:
    """Reject a command as the logged-in practitioner; it never runs.

    It says what is meant and asks, as `approve` does: without a terminal --yes is needed.
    """
    from medbots.cli import approval_desk, references

    task_id = references.required("ID", task, "Task")
    approval_desk.refuse(options.of(ctx), task_id, "reject", reason)


@noun.command("withdraw", cls=options.Command)
def withdraw(ctx: typer.Context, task: TaskId, reason: Reason = None) -> None:
    """Take back a command that the logged-in practitioner handed in.

    It says what is meant and asks, as `approve` does: without a terminal --yes is needed.
    """
    from medbots.cli import approval_desk, references

    task_id = references.required("ID", task, "Task")
    approval_desk.refuse(options.of(ctx), task_id, "withdraw", reason)


@noun.command("sweep", cls=options.Command)
def sweep(ctx: typer.Context) -> None:
    """Expire what is over, and finish what a crash left: what the bot also does by itself."""
    from medbots.cli import answers, approval_desk, render_approvals

    opts = options.of(ctx)
    answer = answers.of(opts, approval_desk.QUEUE, {"action": "sweep"})
    render_approvals.swept(answers.finished(opts, approval_desk.QUEUE, answer))
