"""A reconciliation: what it embeds and deletes, when it stops, and how it goes on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from medbots import errors, inventory
from medbots.embeddings import faults, reconcile
from medbots.embeddings import inventory as looking
from medbots.embeddings.faults import Outcome
from medbots.embeddings.marks import Mark
from tests.support.inventory import (
    KIND,
    START,
    FakeCheckpoints,
    FakeEmbedder,
    FakeServer,
    FakeStore,
    version,
)


class Clinic:
    """A server with ten resources, and a store with none."""

    def __init__(self, number: int = 10) -> None:
        self.server = FakeServer()
        self.server.put(*(version(one) for one in range(number)))
        self.store = FakeStore()
        self.embedder = FakeEmbedder(self.server, self.store)
        self.checkpoints = FakeCheckpoints()

    async def run(
        self,
        *,
        restart: bool = False,
        since: dt.datetime | None = None,
        window: str = "",
        tell: Callable[[reconcile.Progress], None] = lambda _: None,
    ) -> reconcile.Report:
        """Reconcile."""
        wish = reconcile.Wish((KIND,), since, jobs=2, window=window)
        run = reconcile.Reconciler(
            self.server, self.store, self.embedder, self.checkpoints, wish, tell
        )
        return await run.run(restart=restart)

    async def count(self) -> inventory.Tally:
        """Return what `embeddings status` counts."""
        return (await looking.count(self.server, self.store, [KIND])).types[KIND]


async def test_what_is_missing_or_stale_is_embedded_once() -> None:
    """Each resource is embedded once, what is right already not at all; nothing is left."""
    clinic = Clinic()
    clinic.store.rows = {
        version(0).id: version(0),
        version(1).id: replace(version(1), version="v0", updated=START - dt.timedelta(days=1)),
    }
    report = await clinic.run()
    assert sorted(clinic.embedder.handed) == [version(one).id for one in range(1, 10)]
    assert (report.embedded, report.deleted, report.failed) == (9, 0, {})
    before = report.before[KIND]
    assert (before.resources, before.embedded, before.missing, before.stale) == (10, 1, 8, 1)
    assert report.difference == 0
    assert report.after[KIND].embedded == 10
    assert clinic.checkpoints.marks == {}


async def test_only_what_a_direct_read_does_not_find_is_an_orphan() -> None:
    """A search that misses a resource is not believed: its rows stay."""
    clinic = Clinic()
    clinic.store.rows = {version(one).id: version(one) for one in range(12)}
    clinic.server.hidden = {version(3).id}
    report = await clinic.run()
    assert report.deleted == 2
    assert set(clinic.store.rows) == {version(one).id for one in range(10)}
    assert sorted(set(clinic.server.asked)) == [version(one).id for one in (3, 10, 11)]
    assert clinic.store.locked == set()


async def test_what_is_gone_may_come_back_at_once() -> None:
    """A record is gone until now by the store's clock: one here that is fast would keep it out."""
    clinic = Clinic(0)
    gone = version(0)
    clinic.store.rows = {gone.id: gone}
    clinic.store.clock = START + dt.timedelta(minutes=1)
    assert (await clinic.run()).deleted == 1
    again = replace(gone, version="v3", updated=clinic.store.clock + dt.timedelta(seconds=1))
    assert await clinic.store.compare(KIND, [again]) == {again.id: inventory.Standing.MISSING}


async def test_what_is_withheld_is_right() -> None:
    """A tombstone of the very version: no difference, no run."""
    clinic = Clinic(1)
    clinic.store.tombstones = {version(0).id: version(0)}
    report = await clinic.run()
    assert clinic.embedder.calls == []
    assert (report.after[KIND].withheld, report.difference) == (1, 0)


async def test_a_store_that_knows_better_gives_in_to_the_server() -> None:
    """Tombstones and versions later than the server's, which say it again, are let go of."""
    clinic = Clinic(3)
    later = START + dt.timedelta(days=1)
    clinic.store.tombstones = {version(0).id: replace(version(0), version="", updated=later)}
    clinic.store.rows = {version(1).id: replace(version(1), version="v9", updated=later)}
    report = await clinic.run()
    assert (report.before[KIND].missing, report.before[KIND].stale) == (2, 1)
    assert (report.embedded, report.difference) == (3, 0)


async def test_what_fails_is_tried_again_and_told() -> None:
    """A second look embeds what failed once; what fails for good is told with its code."""
    clinic = Clinic()
    clinic.embedder.failing = {version(2).id: 1, version(5).id: 99}
    report = await clinic.run()
    assert report.embedded == 9
    assert report.failed == {f"{KIND}/{version(5).id}": "EMBEDDING_ERROR"}
    assert (report.after[KIND].missing, report.after[KIND].failed) == (1, 1)
    assert clinic.checkpoints.marks == {}


async def test_what_the_store_does_not_show_is_not_embedded() -> None:
    """An embedder that says it is done, and writes elsewhere, has embedded nothing."""
    clinic = Clinic(4)
    clinic.embedder.store = FakeStore()
    report = await clinic.run()
    assert clinic.embedder.handed
    assert (report.embedded, report.difference) == (0, 4)


async def test_progress_ends_where_the_report_does() -> None:
    """Each look counts from its beginning; an interrupted one is gone on with in the count, too."""
    clinic = Clinic()
    clinic.embedder.failing = {version(2).id: 1, version(5).id: 99}
    clinic.embedder.down, clinic.embedder.reach = True, 4
    with pytest.raises(errors.UnreachableError):
        await clinic.run()
    clinic.embedder.down = False
    told: list[reconcile.Progress] = []
    report = await clinic.run(tell=told.append)
    looks = [index for index, one in enumerate(told) if one.again]
    assert [told[index].again for index in looks] == list(range(2, len(looks) + 2))
    parts = [told[start:end] for start, end in pairwise([0, *looks, len(told)])]
    assert [sum(one.looked_at for one in part) for part in parts] == [10] * len(parts)
    assert sum(one.failed for one in parts[-1]) == len(report.failed) == 1
    assert sum(one.embedded for one in told) == report.embedded


@pytest.mark.parametrize("code", ["LLM_ROUTER_ERROR", "TIMEOUT", "DB_ERROR", "NOT_CONFIGURED"])
async def test_when_all_fails_it_stops(code: str) -> None:
    """Forty failures in a row: something is down; the run ends, and its mark stays."""
    clinic = Clinic(100)
    clinic.embedder.code = code
    clinic.embedder.failing = {version(one).id: 99 for one in range(20, 100)}
    with pytest.raises(errors.PartlyAppliedError, match=rf"in a row .* \({code}\): stopped"):
        await clinic.run()
    assert len(clinic.embedder.handed) < 70
    assert clinic.checkpoints.marks


@pytest.mark.parametrize("code", ["EMBEDDING_ERROR", "INVALID_INPUT"])
async def test_bad_records_in_a_row_stop_nothing(code: str) -> None:
    """What is at fault itself says nothing of the next: all others are embedded, in one run."""
    clinic = Clinic(100)
    clinic.embedder.code = code
    bad = [version(one).id for one in range(10, 90)]
    clinic.embedder.failing = dict.fromkeys(bad, 99)
    report = await clinic.run()
    assert report.failed == {f"{KIND}/{one}": code for one in bad}
    assert (report.embedded, report.difference) == (20, 80)
    assert clinic.checkpoints.marks == {}


async def test_a_bad_record_among_failures_of_a_router_does_not_hide_them() -> None:
    """A record's own fault proves nothing of the router: the failures go on being in a row."""
    clinic = Clinic(100)
    clinic.embedder.batch = 1
    clinic.embedder.failing = {version(one).id: 99 for one in range(100)}
    clinic.embedder.code = "LLM_ROUTER_ERROR"
    plain = clinic.embedder.embed

    async def embed(kind: str, versions: Sequence[inventory.Version]) -> Outcome:
        outcome = await plain(kind, versions)
        if len(clinic.embedder.calls) % 2:
            outcome.down.clear()
            outcome.failed = dict.fromkeys(outcome.failed, "EMBEDDING_ERROR")
        return outcome

    clinic.embedder.embed = embed  # type: ignore[method-assign]
    with pytest.raises(errors.PartlyAppliedError, match=r"\(LLM_ROUTER_ERROR\): stopped"):
        await clinic.run()
    # Half of them count.
    assert 2 * faults.MOST_FAILURES <= len(clinic.embedder.handed) < 100


async def test_a_record_that_is_there_and_answered_as_if_not_has_failed() -> None:
    """An old bot refuses what it is asked: that is told with its code, and not as a difference."""
    clinic = Clinic(4)
    clinic.embedder.code = "INVALID_INPUT"
    clinic.embedder.failing = {version(2).id: 99}
    report = await clinic.run()
    assert report.failed == {f"{KIND}/{version(2).id}": "INVALID_INPUT"}
    assert (report.embedded, report.after[KIND].failed) == (3, 1)


async def test_a_record_that_went_meanwhile_has_not_failed() -> None:
    """The bot is asked for what was deleted since the page was read: nothing is left to do."""
    clinic = Clinic(4)
    clinic.embedder.code = "INVALID_INPUT"
    clinic.embedder.failing = {version(2).id: 99}
    plain = clinic.embedder.embed

    async def embed(kind: str, versions: Sequence[inventory.Version]) -> Outcome:
        clinic.server.resources.pop(version(2).id, None)
        return await plain(kind, versions)

    clinic.embedder.embed = embed  # type: ignore[method-assign]
    report = await clinic.run()
    assert version(2).id in clinic.server.asked
    assert (report.failed, report.embedded, report.difference) == ({}, 3, 0)


async def test_an_interrupted_run_is_gone_on_with() -> None:
    """The next run asks from the last page on, embeds the rest, and then looks at all again."""
    clinic = Clinic()
    clinic.embedder.down, clinic.embedder.reach = True, 4
    with pytest.raises(errors.UnreachableError):
        await clinic.run()
    done = set(clinic.store.rows)
    assert 0 < len(done) < 10
    clinic.embedder.down, clinic.embedder.calls, clinic.server.since = False, [], []
    report = await clinic.run()
    assert report.resumed == START
    assert done.isdisjoint(clinic.embedder.handed)
    assert clinic.server.since == [version(5).updated, None]
    assert report.before[KIND].resources == 10
    assert (report.difference, report.after[KIND].embedded) == (0, 10)


async def test_what_changed_before_the_mark_is_found_too() -> None:
    """Rows that went while the run lay still are made again by the second look."""
    clinic = Clinic()
    clinic.embedder.down, clinic.embedder.reach = True, 4
    with pytest.raises(errors.UnreachableError):
        await clinic.run()
    clinic.embedder.down = False
    del clinic.store.rows[version(0).id]
    report = await clinic.run()
    assert report.difference == 0
    assert version(0).id in clinic.store.rows


@pytest.mark.parametrize("batches", [1, 4], ids=["first page", "later page"])
async def test_a_window_that_ends_now_does_not_move_with_the_clock(batches: int) -> None:
    """`--since 1h`, interrupted and run again later: from where the first run was to begin."""
    clinic = Clinic()
    clinic.embedder.down, clinic.embedder.reach = True, batches
    first, later = version(1).updated, version(8).updated
    with pytest.raises(errors.UnreachableError):
        await clinic.run(since=first, window="1h")
    clinic.embedder.down, clinic.server.since = False, []
    report = await clinic.run(since=later, window="1h")
    assert report.resumed == START
    assert clinic.server.since[-1] == first
    assert set(clinic.store.rows) == {version(one).id for one in range(1, 10)}
    assert (report.difference, clinic.checkpoints.marks) == (0, {})


@pytest.mark.parametrize("other", ["restart", "arguments"])
async def test_another_run_begins_anew(other: str) -> None:
    """With --restart, or other arguments, nothing is skipped."""
    clinic = Clinic()
    clinic.embedder.down, clinic.embedder.reach = True, 4
    with pytest.raises(errors.UnreachableError):
        await clinic.run()
    clinic.embedder.down, clinic.server.since = False, []
    since = START if other == "arguments" else None
    report = await clinic.run(restart=other == "restart", since=since)
    assert report.resumed is None
    assert clinic.server.since[0] == since
    assert report.difference == 0


async def test_what_is_changed_meanwhile_is_embedded_as_it_is() -> None:
    """A resource that changes during the run ends at its last version."""
    clinic = Clinic()
    changed = replace(version(0), version="v2", updated=START + dt.timedelta(days=1))
    plain = clinic.embedder.embed

    async def embed(kind: str, versions: object) -> Outcome:
        outcome = await plain(kind, versions)  # type: ignore[arg-type]
        clinic.server.put(changed)
        return outcome

    clinic.embedder.embed = embed  # type: ignore[method-assign]
    report = await clinic.run()
    assert clinic.store.rows[changed.id] == changed
    assert report.difference == 0


async def test_status_counts_and_changes_nothing() -> None:
    """Missing, stale, orphaned, failed and withheld are told apart; no row changes."""
    clinic = Clinic(4)
    old = replace(version(1), version="v0", updated=START - dt.timedelta(days=1))
    clinic.store.rows = {version(0).id: version(0), old.id: old, version(9).id: version(9)}
    clinic.store.tombstones = {version(2).id: version(2)}
    clinic.server.failing = {version(0).id, old.id}
    before = dict(clinic.store.rows)
    assert await clinic.count() == inventory.Tally(4, 1, 1, 1, 1, 1, 1)
    assert clinic.store.rows == before


def test_a_mark_survives_as_json() -> None:
    """A mark is what it was after it was kept."""
    mark = Mark(KIND, since=START, after="x", before=inventory.Tally(3, 1, 2))
    mark.move([version(1), version(2)])
    mark.move([replace(version(3), updated=version(2).updated)])
    assert mark.covers(version(2))
    assert not mark.covers(version(1))
    assert Mark.of(KIND, mark.document()) == mark
