"""`demo`: the whole main job on this machine, by the code of the very verbs that do it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medbots import assets, config, errors
from medbots.cli import interruption, options, render_demo, wiring

if TYPE_CHECKING:
    from medbots.cli.demo_story import Story
    from medbots.local.supervisor import Supervisor

PROFILE = "local"
_LOG_LINES = 6

Keep = Annotated[bool, typer.Option("--keep", help="Leave the stack running.")]


def register(app: typer.Typer) -> None:
    """Add the verb to the tree."""
    app.command("demo", cls=options.Command)(demo)


def demo(ctx: typer.Context, keep: Keep = False) -> None:
    """Bring up a stack, deploy the bots, load sample patients, search them, and tell how it went.

    It uses a stack and a folder of its own: no setting of yours is read, no server but this
    machine is reached. It stops what it started, and keeps its data for the next time.
    """
    from medbots.cli import demo_story

    opts = options.of(ctx)
    own = _own_options(opts)
    folder = config.state_dir(os.environ) / "demo"
    with interruption.by_termination(), _own_environment(folder, _read_by_bots(own)):
        story = demo_story.Story(folder, render_demo.Narrator(opts))
        try:
            _play(own, story, keep=keep)
        except errors.MedbotsError as error:
            render_demo.failed(opts, story, error)
            raise
    render_demo.ended(opts, story, keep=keep)


def _play(opts: options.Options, story: Story, *, keep: bool) -> None:
    """Start the stack, let the story happen on it, and stop what was started."""
    from medbots.cli import demo_story
    from medbots.local import signals, supervisor

    stack = supervisor.Supervisor(story.folder / "local", preferred={})
    try:
        with story.step("stack", "start the stack") as step:
            step.detail = _start(opts, stack, story)
        wiring.run(demo_story.tell(opts, story))
    except errors.MedbotsError as error:
        # Of services that never started, or that did well until Ctrl-C, the logs say nothing.
        if story.started and not isinstance(error, errors.InterruptedByUserError):
            story.last_words = _last_words(stack)
        raise
    finally:
        if story.started and not (keep and story.complete):
            with signals.deferred():
                stack.down(story.stopped)


def _start(opts: options.Options, stack: Supervisor, story: Story) -> str:
    from medbots.local import supervisor

    def tell(event: supervisor.Event) -> None:
        story.started |= event.what == "starting"
        if event.what == "note":
            story.narrator.note(f"{event.service}: {event.detail}")

    the_manifest = wiring.manifest(opts)
    wish = supervisor.Wish(
        dimension=the_manifest.models.dimension,
        alias=the_manifest.models.embedding_alias,
        chat_alias=the_manifest.models.clinical_alias,
    )
    profile = stack.up(wish, tell)
    wiring.sessions().profiles.write(PROFILE, profile)
    story.importer = stack.importer()
    return f"Postgres, models, Medplum at {profile['MEDPLUM_BASE_URL']}"


def _last_words(stack: Supervisor) -> Mapping[str, list[str]]:
    from medbots.local import logs

    return {name: logs.tail(log, _LOG_LINES) for name, log in stack.logs().items()}


def _own_options(opts: options.Options) -> options.Options:
    """Return options that mean the demo's own stack; the bots are the packaged ones, or named."""
    manifest = opts.manifest or assets.bot_templates() / "medbots.yaml"
    return replace(opts, profile=PROFILE, manifest=manifest, base_url=None, allow_http=None)


def _read_by_bots(opts: options.Options) -> set[str]:
    """Return the names of the secrets that the bots read: `deploy` takes them from variables."""
    bots = wiring.manifest(opts).bots
    return {name for bot in bots for name in (*bot.secrets, *bot.optional_secrets)}


@contextmanager
def _own_environment(folder: Path, names: Collection[str]) -> Iterator[None]:
    """Hide the settings of the environment: they may name a real server, and the demo writes.

    What begins with PG is libpq's, and would go before what the stack's own address leaves open.
    """
    before = dict(os.environ)
    hidden = {*config.VARIABLES.values(), config.PROFILE, *names}
    for name in before:
        if name in hidden or name.startswith("PG"):
            del os.environ[name]
    os.environ["MEDBOTS_STATE_DIR"] = str(folder)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
