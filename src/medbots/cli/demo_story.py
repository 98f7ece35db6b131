"""What happens in the demo, step by step."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from medbots import errors, secret, state
from medbots.bots import deployed, execution, words
from medbots.checks import verification
from medbots.cli import changes, db, db_report, options, render, render_checks, verify, wiring
from medbots.database import connection as connection_module
from medbots.database import extension
from medbots.demo import arrival, loader, sample, visit
from medbots.embeddings import contract
from medbots.medplum import auth

if TYPE_CHECKING:
    from medbots import config
    from medbots.medplum.client import Client

EMBEDDING, SEARCH = "embedding", "semantic-search"
_HITS = 3


@dataclass(slots=True)
class Step:
    """One step: what it is for, what came of it, how long it took."""

    key: str
    title: str
    detail: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Search:
    """A question, and what the bot found."""

    question: Mapping[str, Any]
    results: Sequence[Mapping[str, Any]]
    milliseconds: int


class Narrator(Protocol):
    """Is told what happens."""

    def begins(self, step: Step) -> None:
        """A step begins."""

    def ends(self, step: Step) -> None:
        """A step has ended well."""

    def note(self, text: str) -> None:
        """Something to know on the way."""


@dataclass(slots=True)
class Story:
    """What is known of the demo so far."""

    folder: Path
    narrator: Narrator
    steps: list[Step] = field(default_factory=list)
    searches: list[Search] = field(default_factory=list)
    acts: list[visit.Act] = field(default_factory=list)
    """Of the visit, in order."""
    importer: tuple[str, secret.Secret] | None = None
    """Id and secret of the client application that brings the sample in."""
    started: bool = False
    """Whether this run started services, and so stops them."""
    complete: bool = False
    last_words: Mapping[str, list[str]] = field(default_factory=dict)
    """Of each service's log, after a failure."""

    @contextmanager
    def step(self, key: str, title: str) -> Iterator[Step]:
        """Time a step; it is told when it ends well."""
        step = Step(key, title)
        self.steps.append(step)
        self.narrator.begins(step)
        began = time.perf_counter()
        try:
            yield step
        finally:
            step.seconds = time.perf_counter() - began
        self.narrator.ends(step)

    def stopped(self, _: object) -> None:
        """Take an event of the stack's end: nobody needs to read of it."""


async def tell(opts: options.Options, story: Story) -> None:
    """Do everything that comes after the stack is up.

    Raises:
        errors.MedbotsError: a step failed.
    """
    settings = wiring.settings(opts, wiring.manifest(opts))
    with story.step("login", "log in") as step:
        who = (await auth.sign_in(settings, wiring.sessions())).who
        step.detail = f"{who.user} in {who.project.name!r}, PKCE with S256"
    everything = tuple(state.Kind)
    with story.step("plan", "plan") as step:
        step.detail = await _change(opts, changes.Request(everything, dry_run=True))
    with story.step("deploy", "deploy") as step:
        step.detail = await _change(opts, changes.Request(changes.DEPLOY))
    with story.step("subscriptions", "subscriptions sync") as step:
        step.detail = await _change(opts, changes.Request(changes.SYNC))
    with story.step("database", "db init") as step:
        made = db_report.Report()
        await db.initialise(opts, None, made)
        done = sum(one.action != "unchanged" for one in made.steps)
        step.detail = f"{done} changes in {made.database}" if done else "nothing to do"
    with story.step("deploy-again", "deploy what waited") as step:
        step.detail = await _change(opts, changes.Request(changes.DEPLOY))
    with story.step("verify", "verify") as step:
        step.detail = await _verify(opts)
    await _sample(opts, story, settings)
    story.complete = True


async def _change(opts: options.Options, request: changes.Request) -> str:
    report = changes.Report(request.dry_run)
    await changes.connect_and_run(opts, request, report)
    changes.raise_failures(report)
    if report.plan is None:
        raise AssertionError("a run without an error has a plan")
    counted = [f"{action} {n}" for action, n in report.plan.summary.items() if n]
    requests = f"{report.requests} request{'' if report.requests == 1 else 's'}"
    return f"{', '.join(counted)}; {requests}"


async def _verify(opts: options.Options) -> str:
    def target() -> Any:
        return verify.target_of(opts, strict=True)

    narrator = render_checks.Narrator(opts)
    report = await verification.run(target, verification.Choice(), narrator)
    if not report.ok:
        failed = [one for one in report.results if one.status == "fail"]
        told = "; ".join(f"{one.id}: {one.observed}" for one in failed)
        raise errors.CheckFailedError(told, hint=failed[0].fix or None if failed else None)
    return ", ".join(f"{n} {status}" for status, n in report.summary.items() if n)


async def _sample(opts: options.Options, story: Story, settings: config.Settings) -> None:
    """Load the sample, wait for its vectors, search it."""
    namespace = wiring.manifest(opts).namespace
    resources = sample.resources()
    if settings.database_url is None:
        raise AssertionError("the profile of a local stack names its database")
    async with wiring.connected(settings) as client:
        bots = await _bots(client, namespace)
        connection = await extension.connect(settings.database_url)
        try:
            with story.step("load", "load sample patients") as step:
                loaded = await _load(opts, story, settings, resources)
                step.detail = _loaded(resources, loaded)
            with story.step("embed", "embeddings arrive") as step:
                step.detail = await _arrive(
                    opts, client, connection, settings, bots, resources, loaded
                )
        finally:
            await connection.close()
        with story.step("search", "search") as step:
            await _search(client, bots[SEARCH], story)
            step.detail = f"{len(story.searches)} questions by $execute, as {client.user}"
        with story.step("visit", "follow one visit") as step:
            patient, encounter = (loaded.ids[name] for name in sample.VISIT)
            followed = visit.Visit(client, namespace, bots, patient, encounter)
            async with aclosing(followed.acts()) as acts:
                async for act in acts:
                    story.acts.append(act)
            step.detail = "answer, interactions, note, codes, approval, audit trail"


async def _load(
    opts: options.Options,
    story: Story,
    settings: config.Settings,
    resources: Sequence[sample.Resource],
) -> loader.Loaded:
    """Load as a client application: an import has a share of its own in the server's limits."""
    if story.importer is not None:
        name, key = story.importer
        settings = replace(settings, client_id=name, client_secret=key)
    with render.progress(opts, "resources", len(resources)) as advance:
        async with wiring.connected(settings) as importer:
            return await loader.load(importer, resources, advance)


async def _bots(client: Client, namespace: str) -> dict[str, deployed.Bot]:
    found = await deployed.bots(client, namespace)
    if missing := [key for key in words.SHIPPED if key not in found]:
        raise errors.InvalidError(f"the manifest has no bot {', '.join(missing)}")
    return found


def _loaded(resources: Sequence[sample.Resource], loaded: loader.Loaded) -> str:
    patients = sum(one["resourceType"] == "Patient" for one in resources)
    text = f"{len(resources)} resources of {patients} patients"
    there = len(resources) - len(loaded.created)
    return f"{text}, {there} of them there before" if there else text


async def _arrive(
    opts: options.Options,
    client: Client,
    connection: connection_module.Connection,
    settings: config.Settings,
    bots: Mapping[str, deployed.Bot],
    resources: Sequence[sample.Resource],
    loaded: loader.Loaded,
) -> str:
    """Wait for the vectors of all records that the Embedding Bot makes vectors of."""
    expected = {loaded.ids[sample.reference(one)] for one in resources if sample.is_embedded(one)}
    version = contract.model_version(
        settings.embedding_model, settings.embedding_dim, settings.embedding_prefix
    )
    where = (connection, client.project.id, version)
    # An earlier run that was stopped may have left records without vectors. Their events are gone.
    lost = expected - loaded.created - await arrival.embedded(*where)
    await arrival.embed(client, bots[EMBEDDING], lost)
    with render.progress(opts, "embeddings", len(expected)) as advance:
        seen = 0
        async with aclosing(arrival.arrivals(*where, expected)) as arrivals:
            async for there in arrivals:
                advance(there - seen)
                seen = there
    text = f"{seen} of {len(expected)} records have vectors"
    return f"{text}, {len(lost)} of them repaired" if lost else text


async def _search(client: Client, bot: deployed.Bot, story: Story) -> None:
    """Ask three questions: about everything, about notes, and about one patient."""
    first = await _ask(client, bot, {"query": "type 2 diabetes with high hemoglobin A1c"})
    notes = {"query": "patient with fever and cough", "resourceTypes": ["DocumentReference"]}
    second = await _ask(client, bot, notes)
    story.searches += [first, second]
    found = [*first.results, *second.results]
    if not found:
        raise errors.CheckFailedError("two searches over the sample found nothing")
    patient = found[0]["patientId"]
    # Within one patient everything counts, the nearest first: a low threshold.
    one = {"query": "laboratory results", "patientId": patient, "minSimilarity": 0.3}
    story.searches.append(await _ask(client, bot, one))


async def _ask(client: Client, bot: deployed.Bot, question: Mapping[str, Any]) -> Search:
    asked = {**question, "limit": _HITS}
    answer = await execution.succeed(client, bot, asked)
    return Search(asked, answer["results"], answer["searchDurationMs"])
