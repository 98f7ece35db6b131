"""`embeddings status` and `reconcile` before anything is asked of a server, and what they print."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import pytest

from medbots import __main__, assets, errors, manifest
from medbots.bundler import tools
from medbots.cli import inventory, options, reconciling, render_inventory
from medbots.cli.embeddings_reconcile import Result
from medbots.embeddings.reconcile import Progress, Report
from medbots.inventory import TYPES, Tally
from tests.support.ward import Ward
from tests.unit.cli.conftest import Medbots

MOMENT = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


def packaged() -> manifest.Manifest:
    """Return the packaged manifest."""
    return manifest.load(assets.bot_templates() / manifest.FILE)


def test_types_are_those_that_are_embedded() -> None:
    """All of them, or those that are named; in their order, each once."""
    assert inventory.kinds(None) == TYPES
    assert inventory.kinds(["Observation,Condition", "Condition"]) == ("Condition", "Observation")
    for bad in (["Patient"], [","], ["condition"]):
        with pytest.raises(errors.UsageError):
            inventory.kinds(bad)


@pytest.mark.parametrize("verb", ["status", "reconcile"])
def test_without_a_database_the_setting_is_named(
    verb: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before any login: the variable that is missing."""
    monkeypatch.setenv("MEDBOTS_STATE_DIR", str(tmp_path))
    monkeypatch.delenv("MEDBOTS_DATABASE_URL", raising=False)
    assert __main__.run(["embeddings", verb]) == 64
    assert "MEDBOTS_DATABASE_URL is not set" in capsys.readouterr().err


@pytest.mark.parametrize("since", ["2999-01-01", "2999-01-01T08:00+01:00"])
def test_a_date_to_come_is_refused(
    since: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing can have been changed since: that nothing differs would say nothing."""
    monkeypatch.setenv("MEDBOTS_STATE_DIR", str(tmp_path))
    assert __main__.run(["embeddings", "reconcile", "--since", since]) == 64
    shown = capsys.readouterr()
    assert f"--since '{since}' lies ahead" in shown.err
    assert shown.out == ""


@pytest.mark.parametrize("flags", [(), ("--dry-run",), ("--direct",), ("--restart",)])
def test_another_project_is_refused_before_anything(
    flags: tuple[str, ...], ward: Ward, medbots: Medbots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--expect-project takes id or name; of any other, neither records nor rows are looked at."""
    # Nobody listens there: whoever asks for the database is told so.
    monkeypatch.setenv("MEDBOTS_DATABASE_URL", "postgresql://owner@127.0.0.1:9/clinic")
    args = ("embeddings", "reconcile", *flags, "--format", "json", "--expect-project")
    told = medbots(*args, "Production")
    assert (told.code, told.json["error"]["code"]) == (4, "not-allowed")
    assert "--expect-project says 'Production'" in told.json["error"]["message"]
    assert told.json["error"]["hint"] == "medbots login --project ID"
    assert (ward.searches, ward.inputs) == ([], [])
    for right in ("p1", "Clinic"):
        # It goes on to what the login may see, which this project does not tell.
        assert medbots(*args, right).json["error"]["code"] == "not-found"


def test_direct_without_node_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra that brings Node is named."""
    monkeypatch.setattr(tools, "node", lambda _: None)
    with pytest.raises(errors.MedbotsError) as caught:
        reconciling._node()
    assert "pip install 'medbots[node]'" in str(caught.value.hint)


def test_direct_makes_the_text_of_the_manifests_own_bot(tmp_path: Path) -> None:
    """A bot elsewhere without the program beside it is refused: its rows would be others."""
    assert reconciling._program(packaged()) == assets.bot_templates() / "dist" / "record-text.js"
    source = tmp_path / "src" / "bots" / "embedding.ts"
    source.parent.mkdir(parents=True)
    source.touch()
    (tmp_path / "package.json").write_text("{}")
    (bot,) = [one for one in packaged().bots if one.key == "embedding"]
    own = replace(packaged(), bots=(replace(bot, source=source),))
    with pytest.raises(errors.MedbotsError, match=r"record-text\.ts is not there"):
        reconciling._program(own)


def test_the_report_as_json() -> None:
    """The contract's shape, before and after, with each failure named by code."""
    before = {"Condition": Tally(resources=3, embedded=1, missing=2)}
    after = {"Condition": Tally(resources=3, embedded=2, missing=1, failed=1)}
    report = Report(before, after, 1, 4, {"Condition/x": "EMBEDDING_ERROR"}, MOMENT)
    result = Result(report=report, models={"before": [("m/4/none", 1)]}, duration_ms=12)
    error = errors.PartlyAppliedError("1 failed", hint="medbots verify")
    document = render_inventory.document(result, error)
    assert json.loads(json.dumps(document)) == {
        "dryRun": False,
        "before": {
            "types": [{"type": "Condition", **before["Condition"].document()}],
            "models": [{"model": "m/4/none", "rows": 1}],
        },
        "after": {"types": [{"type": "Condition", **after["Condition"].document()}], "models": []},
        "embedded": 1,
        "deleted": 4,
        "failed": 1,
        "failures": [{"resource": "Condition/x", "errorCode": "EMBEDDING_ERROR"}],
        "resumedFrom": "2026-01-02T03:04:05.000Z",
        "durationMs": 12,
        "error": {"code": "partly-applied", "message": "1 failed", "hint": "medbots verify"},
    }


def test_the_report_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    """Tables before and after, the sum in one line, failures on stderr; ten at the most."""
    after = {"Condition": Tally(resources=30, embedded=18, missing=12, failed=12)}
    failed = {f"Condition/{one}": "TIMEOUT" for one in range(12)}
    report = Report(after, after, 18, 2, failed)
    result = Result(report=report, duration_ms=1500)
    render_inventory.reconciled(options.Options(), result, errors.PartlyAppliedError())
    shown = capsys.readouterr()
    assert "18 records embedded, 2 orphans deleted, 12 failed, in 1.5 s." in shown.out
    assert "The store is what the server holds." not in shown.out
    assert shown.err.count("TIMEOUT") == 10
    assert "and 2 more" in shown.err


@pytest.mark.parametrize("dry_run", [False, True])
def test_what_was_not_compared_is_not_claimed(
    dry_run: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --since, what is older may differ: no word that the store is what the server holds."""
    report = Report({"Condition": Tally()}, {"Condition": Tally()})
    for whole in (True, False):
        result = Result(dry_run, whole=whole, report=report)
        render_inventory.reconciled(options.Options(), result, None)
        shown = capsys.readouterr().out
        assert ("The store is what the server holds.\n" in shown) is whole
        assert ("nothing older was compared" in shown) is not whole


def test_an_error_without_a_hint_says_so() -> None:
    """Programs find `hint` in every error, as the contract has it."""
    document = render_inventory.document(Result(report=Report()), errors.DatabaseError("gone"))
    assert document["error"] == {"code": "database-error", "message": "gone", "hint": None}


def test_progress_is_lines_of_json_for_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    """Each line of stderr is an event; the last one has the sum."""
    opts = options.Options(format="json")
    render_inventory.note(opts, "a note")
    with render_inventory.Progress(opts, "comparing", 5) as shown:
        shown.looked_at("Condition", 2)
        shown.looked_at("Condition", 3)
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert events[0] == {"event": "note", "message": "a note"}
    assert (events[-1]["lookedAt"], events[-1]["total"]) == (5, 5)


def test_another_look_counts_anew(capsys: pytest.CaptureFixture[str]) -> None:
    """What was looked at and failed before it is not counted twice, nor beyond the total."""
    with render_inventory.Progress(options.Options(format="json"), "reconciling", 5) as shown:
        shown.got_on(Progress("Condition", looked_at=5, embedded=3, failed=2))
        shown.got_on(Progress("", again=2))
        shown.got_on(Progress("Condition", looked_at=6, embedded=1, failed=1))
    last = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (last["pass"], last["lookedAt"], last["total"]) == (2, 6, 6)
    assert (last["embedded"], last["failed"]) == (4, 1)


def test_a_resumed_run_tells_whose_numbers_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    """What stood before was found by two runs; what was embedded, by the second alone."""
    before = {"Condition": Tally(resources=9, missing=9)}
    report = Report(before, {"Condition": Tally(9, 9)}, 4, 0, resumed=MOMENT)
    render_inventory.reconciled(options.Options(), Result(report=report), None)
    shown = capsys.readouterr().out
    assert "before, with what the interrupted run found" in shown
    assert "4 records embedded, 0 orphans deleted, 0 failed, in 0.0 s, since it went on." in shown
