"""The demo's narration: a line a step on stderr, what was found on stdout."""

from __future__ import annotations

import json
import re
import shlex
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from medbots import errors
from medbots.cli import error_json, options, render

if TYPE_CHECKING:
    from medbots.cli.demo_story import Search, Step, Story

_TITLE = 22
_SNIPPET = 96
_TOLD = 2
"""Lines of one thing that a bot says."""

Answer = Mapping[str, Any]


class Narrator:
    """Tells each step as it ends; for machines as a JSON line."""

    def __init__(self, opts: options.Options) -> None:
        self._json = opts.json

    def begins(self, step: Step) -> None:
        """Say nothing: a step is told when its time is known."""

    def ends(self, step: Step) -> None:
        """Say what came of a step."""
        if self._json:
            render.note(json.dumps(_step(step)))
        else:
            render.note(f"{step.seconds:6.1f} s  {step.title:<{_TITLE}}{step.detail}")

    def note(self, text: str) -> None:
        """Say something on the way."""
        render.note(json.dumps({"note": text}) if self._json else f"          {text}")


def ended(opts: options.Options, story: Story, *, keep: bool) -> None:
    """Print what was found, the whole time, and how to look further."""
    if opts.json:
        render.json(document(story))
        return
    for search in story.searches:
        render.line()
        render.line(_question(search))
        for hit in search.results:
            render.line(f"  {hit['similarity']:.2f}  {hit['resourceType']:<19}  {_snippet(hit)}")
        if not search.results:
            render.line("  nothing comes near enough")
    for act in story.acts:
        render.line()
        render.line(f"{act.bot}: {act.asked}, {act.milliseconds} ms")
        for text in _LINES[act.key](act.answer):
            for line in textwrap.wrap(text, _SNIPPET, max_lines=_TOLD, placeholder=" …"):
                render.line(f"  {line}")
    render.line()
    render.line(f"Done in {_seconds(story):.1f} s.")
    for line in _further(story, keep=keep):
        render.line(line)


def failed(opts: options.Options, story: Story, error: errors.MedbotsError) -> None:
    """Say which step failed, and what the services said last."""
    if opts.json:
        at = story.steps[-1].key if story.steps else None
        render.json({**document(story), "failed": at, "error": error_json.document(error)})
        error.reported = True
        return
    for name, lines in story.last_words.items():
        for line in lines:
            render.note(f"  {name:<8}  {line}")
    if story.steps:
        step = story.steps[-1]
        interrupted = isinstance(error, errors.InterruptedByUserError)
        end = "interrupted" if interrupted else "failed"
        render.note(f"{step.seconds:6.1f} s  {step.title:<{_TITLE}}{end}")


def document(story: Story) -> dict[str, Any]:
    """Return the whole demo as JSON."""
    return {
        "ok": story.complete,
        "stateDir": str(story.folder),
        "steps": [_step(step) for step in story.steps],
        "searches": [
            {
                "question": dict(one.question),
                "results": list(one.results),
                "searchDurationMs": one.milliseconds,
            }
            for one in story.searches
        ],
        "visit": [
            {
                "act": one.key,
                "bot": one.bot,
                "asked": one.asked,
                "answer": dict(one.answer),
                "durationMs": one.milliseconds,
            }
            for one in story.acts
        ],
        "durationMs": round(_seconds(story) * 1000),
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "step": step.key,
        "title": step.title,
        "detail": step.detail,
        "durationMs": round(step.seconds * 1000),
    }


def _seconds(story: Story) -> float:
    return sum(step.seconds for step in story.steps)


def _question(search: Search) -> str:
    asked = search.question
    within = ""
    if "patientId" in asked:
        within = " in one patient's record"
    elif "resourceTypes" in asked:
        within = f" in {', '.join(asked['resourceTypes'])}"
    return f"“{asked['query']}”{within}, {search.milliseconds} ms"


def _snippet(hit: Mapping[str, Any]) -> str:
    """Return the beginning of what was found, with its date instead of the chunk's heading."""
    text = " ".join(str(hit.get("matchedText", "")).split())
    heading = re.match(r"\[[^|\]]+\| ([\d-]+) \|[^\]]+\] ", text)
    if heading:
        text = f"{heading[1]}  {text[heading.end() :]}"
    return text if len(text) <= _SNIPPET else f"{text[: _SNIPPET - 1]}…"


def _answered(answer: Answer) -> Iterator[str]:
    """The answer, where it stands in the record, and which model wrote it."""
    yield str(answer["answer"]) if not answer["refused"] else "not answered from the record"
    cited = [f"{one['source'].partition('/')[0]} of {one['date']}" for one in answer["citations"]]
    yield f"from {', '.join(dict.fromkeys(cited))}"
    yield f"by {answer['modelUsed']}"


def _decided(answer: Answer) -> Iterator[str]:
    """Each interaction, and the rules that found it."""
    for one in answer["interactions"]:
        yield f"{one['severity']}: {' and '.join(one['ingredients'])}"
    rules = answer["ruleset"]
    yield f"by rules {rules['version']}, no model; {len(answer['detectedIssues'])} DetectedIssue"


def _drafted(answer: Answer) -> Iterator[str]:
    """What the note says of assessment and plan, and that it waits."""
    sections = answer["sections"]
    yield f"plan: {' '.join(sections['plan'].split())}"
    yield f"assessment: {' '.join(sections['assessment'].split())}"
    yield f"waits for another clinician as Task/{answer['taskId']}"


def _suggested(answer: Answer) -> Iterator[str]:
    """The codes that wait for approval."""
    codes = json.loads(answer["command"])["parameters"]["suggestedCodes"]
    yield ", ".join(f"{one['code']} ({one['confidence']:.1f})" for one in codes)
    yield f"waits for approval as Task/{answer['taskId']}"


def _approved(answer: Answer) -> Iterator[str]:
    """What came of the approval."""
    made = f"{answer['executedResourceType']}/{answer['executedResourceId']}"
    before = ", approved before" if answer.get("alreadyDone") else ""
    yield f"{answer['status']}: {made}, a draft without prices{before}"


def _audited(answer: Answer) -> Iterator[str]:
    """The command's way, step by step."""
    yield " → ".join(one["type"] for one in answer["events"])
    yield f"medbots audit shows all of it: who, when, by hash; {len(answer['events'])} events here"


_LINES: Mapping[str, Callable[[Answer], Iterator[str]]] = {
    "ask": _answered,
    "decide": _decided,
    "draft": _drafted,
    "finish": _suggested,
    "approve": _approved,
    "audit": _audited,
}
"""What is told of each act of the visit."""


def _further(story: Story, *, keep: bool) -> list[str]:
    state = f"export MEDBOTS_STATE_DIR={shlex.quote(str(story.folder))}"
    if not keep and story.started:
        return [
            f"The stack is stopped; its data stay in {story.folder}.",
            "To look around in it: medbots demo --keep",
        ]
    return [
        "The stack runs on. To look around in it:",
        f"  {state}",
        "  medbots --profile local verify",
        "  medbots --profile local subscriptions list",
        "  medbots --profile local db status",
        "  medbots local logs medplum",
        "  medbots local down      (reset deletes it)",
    ]
