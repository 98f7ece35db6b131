"""`ask`: a question about one patient, answered from the record by the RAG Pipeline Bot."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from medbots.cli import options

BOT = "rag-pipeline"
_QUESTIONS = ("general", "trend", "lab", "medication", "history")

Question = Annotated[str, typer.Argument(metavar="QUESTION", help="In words.")]
Patient = Annotated[str, typer.Option("--patient", metavar="ID", help="Whose record answers it.")]
MaxChunks = Annotated[
    int | None,
    typer.Option("--max-chunks", metavar="N", min=1, max=20, help="Passages that are looked at."),
]
QuestionType = Annotated[
    str | None,
    typer.Option(
        "--question-type",
        metavar="TYPE",
        help="general, trend, lab, medication or history; else its words decide.",
    ),
]
NoCitations = Annotated[bool, typer.Option("--no-citations", help="The answer without sources.")]


def register(app: typer.Typer) -> None:
    """Add the verb to the tree."""
    app.command("ask", cls=options.Command)(ask)


def ask(
    ctx: typer.Context,
    question: Question,
    patient: Patient,
    max_chunks: MaxChunks = None,
    question_type: QuestionType = None,
    no_citations: NoCitations = False,
) -> None:
    """Answer a question from one patient's record, each sentence with its source.

    As the logged-in user: from what that user may read. Where no source bears out an answer there
    is none, which is an answer too (exit code 0). The confidence is not calibrated.
    """
    from medbots.cli import answers, references, render_answer

    opts = options.of(ctx)
    given: dict[str, Any] = {
        "question": question,
        "patientId": references.required("--patient", patient, "Patient"),
        "maxContextChunks": max_chunks,
        "questionType": references.one_of(
            "--question-type", question_type, _QUESTIONS, "is no kind of question"
        ),
        "includeCitations": False if no_citations else None,
    }
    body = {name: value for name, value in given.items() if value is not None}
    render_answer.answer(answers.finished(opts, BOT, answers.of(opts, BOT, body)))
