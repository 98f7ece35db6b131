"""`bot logs` and `bot list`: what a line says, and what it never says."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from medbots import errors
from medbots.bots import following
from medbots.medplum import client as client_module
from tests.support import ward as support
from tests.support.ward import PLANT, PRACTITIONER, START, Ward
from tests.unit.cli.conftest import Medbots


@pytest.fixture
def busy(ward: Ward) -> Ward:
    """A project with three runs."""
    ward.answers = {"embedding": {}, "own": {}}
    support.subscription_of(ward, "Embedding - Condition", "embedding")
    support.run_of(ward, "embedding", 1, subscription="s1", log="DB_ERROR abc\nsecond line")
    support.run_of(ward, "own", 2, log=PLANT, failed=True)
    support.run_of(ward, "embedding", 3)
    return ward


class TestText:
    """A line a run."""

    def test_the_line(self, busy: Ward, medbots: Medbots) -> None:
        """Time, bot, outcome, duration, trigger, requester, resource, first line of the log."""
        told = medbots("bot", "logs")
        first, second, third = told.out.splitlines()
        assert first[20:] == (
            " embedding  ok          46 ms  Embedding - Condition  by Practitioner/d0  "
            "Condition/c1  DB_ERROR abc"
        )
        assert second[20:] == (
            " own        failed      46 ms  $execute  by Practitioner/d0  (log withheld: -v)"
        )
        assert third[20:] == " embedding  ok          46 ms  $execute  by Practitioner/d0"
        assert (told.code, told.err) == (0, "")

    @pytest.mark.parametrize("form", ["text", "json"])
    def test_no_words_of_a_record(self, busy: Ward, medbots: Medbots, form: str) -> None:
        """Displays are never printed; the log of a bot of their own only with -v."""
        assert PLANT not in str(medbots("bot", "logs", "--format", form))
        assert medbots("bot", "logs", "--format", form, "-v").out.count(PLANT) == 1

    def test_what_is_asked(self, busy: Ward, medbots: Medbots) -> None:
        """Bots, type, failures and time go to the server."""
        medbots("bot", "logs", "embedding", "--failed", "--since", "2026-03-01T08:00Z")
        assert busy.asked("AuditEvent") == {
            "source": ["Bot/bot-embedding"],
            "type": ["https://medplum.com/CodeSystem/audit-event|execute"],
            "outcome": ["4,8,12"],
            "_lastUpdated": ["ge2026-03-01T08:00:00.000+00:00"],
            "_sort": ["-_lastUpdated"],
            "_count": ["51"],
        }
        medbots("bot", "logs")
        assert busy.asked("AuditEvent")["source"] == ["Bot/bot-embedding,Bot/bot-own"]

    @pytest.mark.parametrize("page", [1, 2, 1000])
    def test_a_limit(self, busy: Ward, medbots: Medbots, page: int) -> None:
        """The newest are kept, whatever the server's pages are; that there are more is said."""
        busy.page = page
        told = medbots("bot", "logs", "--limit", "2")
        assert [line.split()[2] for line in told.out.splitlines()] == ["own", "embedding"]
        assert told.err == "the newest 2; --limit and --since show more\n"
        assert medbots("bot", "logs", "--limit", "3").err == ""

    def test_nothing_yet(self, ward: Ward, medbots: Medbots) -> None:
        """An empty list is said to be empty, and is no failure."""
        ward.answers["embedding"] = {}
        told = medbots("bot", "logs")
        assert (told.code, told.out) == (0, "")
        assert told.err.startswith("no run yet")
        assert medbots("bot", "logs", "--failed").err == "no run is like that\n"
        assert medbots("bot", "logs", "--format", "json").json == []

    @pytest.mark.parametrize("form", ["text", "json"])
    def test_what_was_not_embedded(self, busy: Ward, medbots: Medbots, form: str) -> None:
        """The server runs nothing again: how to make up for a failed run is said once."""
        for minutes in (4, 5):
            support.run_of(busy, "embedding", minutes, log="DIMENSION_MISMATCH x", failed=True)
        told = medbots("bot", "logs", "--format", form)
        assert told.err == (
            "where 'embedding' failed: once medbots verify passes, medbots embeddings reconcile "
            "embeds what was missed; where the database is out of reach, medbots bot exec "
            "embedding --field action=backfill --field resourceType=Observation does, a type at a "
            "time\n"
        )

    def test_a_trigger_that_is_gone(self, ward: Ward, medbots: Medbots) -> None:
        """A Subscription that was deleted, or that the login may not read, is named by its id."""
        ward.answers["embedding"] = {}
        support.run_of(ward, "embedding", subscription="gone")
        assert "  Subscription/gone  " in medbots("bot", "logs").out
        ward.forbidden = {"Subscription"}
        assert "  Subscription/gone  " in medbots("bot", "logs").out

    def test_no_secret(self, ward: Ward, medbots: Medbots) -> None:
        """A password that a bot logged is redacted."""
        ward.answers["embedding"] = {}
        support.run_of(ward, "embedding", log="DB_ERROR postgresql://bot:hunter2@db/x")
        assert "hunter2" not in str(medbots("bot", "logs"))
        assert "hunter2" not in str(medbots("bot", "logs", "-v", "--format", "json"))

    def test_a_timer(self, ward: Ward, medbots: Medbots) -> None:
        """A run that nobody caused and that got the bot itself was a timer's."""
        ward.answers["embedding"] = {}
        bot = {"what": {"reference": "Bot/bot-embedding"}}
        support.run_of(ward, "embedding", agent=[{"requestor": True}], entity=[bot, bot])
        assert medbots("bot", "logs").out.rstrip().endswith("46 ms  timer")

    def test_hardly_anything_known(self, ward: Ward, medbots: Medbots) -> None:
        """An event without period, log and entities is still a line."""
        ward.answers["embedding"] = {}
        event = support.run_of(ward, "embedding")
        for name in ("period", "outcomeDesc", "entity", "agent"):
            del event[name]
        assert medbots("bot", "logs").out.rstrip().endswith(f"embedding  ok{' ' * 17}$execute")

    @pytest.mark.parametrize(
        ("args", "code", "words"),
        [
            (("none",), 64, "there is no bot 'none'"),
            (("semantic-search",), 1, "medbots deploy --only semantic-search"),
            (("--since", "soon"), 64, "no point in time"),
            (("--since", ""), 64, "no point in time"),
            (("--since", "99999999d"), 64, "no point in time"),
            (("--limit", "0"), 64, "--limit"),
        ],
    )
    def test_mistakes(
        self, busy: Ward, medbots: Medbots, args: tuple[str, ...], code: int, words: str
    ) -> None:
        """Each is one message."""
        told = medbots("bot", "logs", *args)
        assert (told.code, told.out) == (code, "")
        assert words in told.err

    def test_nothing_is_deployed(self, ward: Ward, medbots: Medbots) -> None:
        """Without any bot there is nothing to look at: exit 1, and the cure."""
        told = medbots("bot", "logs")
        assert (told.code, "hint: medbots deploy" in told.err) == (1, True)


def test_json(busy: Ward, medbots: Medbots) -> None:
    """One array; a log that is withheld is null."""
    first, second, third = medbots("bot", "logs", "--format", "json").json
    assert first == {
        "id": first["id"],
        "at": "2026-03-01T08:01:00.000Z",
        "bot": "embedding",
        "ok": True,
        "durationMs": 46,
        "trigger": "Embedding - Condition",
        "subscription": "Subscription/s1",
        "requester": PRACTITIONER,
        "input": "Condition/c1",
        "log": "DB_ERROR abc\nsecond line",
    }
    assert (second["ok"], second["log"], second["trigger"]) == (False, None, "$execute")
    assert (third["log"], third["subscription"], third["input"]) == ("", None, None)


class TestFollow:
    """What comes, each once, also beyond a restart."""

    @pytest.fixture
    def clock(self, busy: Ward, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        """What happens at each pause; after the last, somebody presses Ctrl-C."""
        script: list[Any] = []

        async def sleep(_: float) -> None:
            if not script:
                raise KeyboardInterrupt
            script.pop(0)()

        real = following.follow
        monkeypatch.setattr(
            following, "follow", lambda *args, **more: real(*args, **more, sleep=sleep)
        )
        return script

    def test_each_once(self, busy: Ward, medbots: Medbots, clock: list[Any]) -> None:
        """New runs come in order; one that is stamped earlier and seen later comes too."""
        clock += [
            lambda: None,
            lambda: support.run_of(busy, "embedding", 4, log="FIRST"),
            lambda: support.run_of(busy, "embedding", 3.9, log="LATE"),
            lambda: None,
            lambda: support.run_of(busy, "embedding", 4, log="TWIN"),
            lambda: None,
        ]
        told = medbots("bot", "logs", "--follow", "--limit", "1")
        assert told.code == 130
        assert [line.split()[-1] for line in told.out.splitlines()] == [
            PRACTITIONER,
            "FIRST",
            "LATE",
            "TWIN",
        ]
        assert told.err == "the newest 1; --limit and --since show more\n"

    def test_what_was_left_out_stays_out(
        self, ward: Ward, medbots: Medbots, clock: list[Any]
    ) -> None:
        """Runs that --limit left out do not come as new, though they are recent."""
        for number in range(5):
            support.run_of(ward, "embedding", 10 + number / 100, log=f"N{number}")
        clock.append(lambda: None)
        told = medbots("bot", "logs", "embedding", "-f", "--limit", "2")
        assert [line.split()[-1] for line in told.out.splitlines()] == ["N3", "N4"]

    def test_the_first_run_of_all(self, ward: Ward, medbots: Medbots, clock: list[Any]) -> None:
        """Where there was none, the first is seen, whatever the clocks say."""
        ward.resources.clear()
        clock += [lambda: None, lambda: support.run_of(ward, "own", -9e5), lambda: None]
        assert medbots("bot", "logs", "-f").out.count("own") == 1

    def test_json_lines(self, busy: Ward, medbots: Medbots, clock: list[Any]) -> None:
        """A document a line; the end by Ctrl-C adds none."""
        clock.append(lambda: support.run_of(busy, "embedding", 4))
        told = medbots("bot", "logs", "-f", "--format", "json")
        assert [json.loads(line)["bot"] for line in told.out.splitlines()] == [
            "embedding",
            "own",
            "embedding",
            "embedding",
        ]
        assert (told.code, told.err) == (130, "")

    def test_a_restart(
        self, busy: Ward, medbots: Medbots, clock: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A server that is away is waited for: one line when it goes, one when it is back."""
        search = client_module.Client.search
        away: list[bool] = []

        def sometimes(self: client_module.Client, *args: Any) -> Any:
            if away:
                raise errors.UnreachableError("http://localhost:8103/ cannot be reached")
            return search(self, *args)

        monkeypatch.setattr(client_module.Client, "search", sometimes)
        clock += [
            lambda: away.append(True),
            lambda: support.run_of(busy, "embedding", 4, log="MEANWHILE"),
            away.clear,
            lambda: None,
        ]
        told = medbots("bot", "logs", "-f", "--limit", "3")
        assert told.out.splitlines()[-1].endswith("MEANWHILE")
        assert told.out.count("MEANWHILE") == 1
        assert told.err.splitlines() == [
            "http://localhost:8103/ cannot be reached; waiting for it",
            "http://localhost:8103/ answers again",
        ]

    def test_a_refusal_ends_it(
        self, busy: Ward, medbots: Medbots, clock: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who may no longer read is told so; waiting would not help."""

        def refuse() -> None:
            def refused(*_: Any) -> Any:
                raise errors.NotAllowedError("not allowed")

            monkeypatch.setattr(client_module.Client, "search", refused)

        clock.append(refuse)
        told = medbots("bot", "logs", "-f")
        assert (told.code, told.err) == (4, "error: not allowed\n")

    def test_the_look_back(self, busy: Ward, medbots: Medbots, clock: list[Any]) -> None:
        """Each look asks for no more than what can have been missed."""
        clock.append(lambda: None)
        medbots("bot", "logs", "-f", "--since", "2026-01-01")
        (since,) = busy.asked("AuditEvent")["_lastUpdated"]
        last = START + timedelta(minutes=3)
        assert datetime.fromisoformat(since.removeprefix("ge")) == last - following.OVERLAP


class TestList:
    """`bot list`."""

    def test_json(self, ward: Ward, medbots: Medbots) -> None:
        """An array in the manifest's order, in the contract's shape."""
        ward.answers = {"own": {}, "embedding": {}}
        membership = {"resourceType": "ProjectMembership", "profile": {"reference": "Bot/bot-own"}}
        ward.add(membership)
        first, second, *_, last = medbots("bot", "list", "--format", "json").json
        assert [first, second, last] == [
            {
                "key": "embedding",
                "name": "embedding bot",
                "id": "bot-embedding",
                "deployed": True,
                "runAsUser": False,
                "membership": False,
                "digest": "sha256:" + "d" * 64,
            },
            {
                "key": "semantic-search",
                "name": "Semantic Search Bot",
                "id": None,
                "deployed": False,
                "runAsUser": True,
                "membership": None,
                "digest": None,
            },
            {
                "key": "own",
                "name": "own bot",
                "id": "bot-own",
                "deployed": True,
                "runAsUser": False,
                "membership": True,
                "digest": "sha256:" + "d" * 64,
            },
        ]

    @pytest.mark.parametrize("form", ["text", "json"])
    def test_who_may_see_little(self, ward: Ward, medbots: Medbots, form: str) -> None:
        """A member may list the bots: what they may not read is unknown, and named once."""
        ward.answers = {"embedding": {}, "own": {}}
        ward.forbidden = {"AccessPolicy", "ProjectMembership", "Project", "Subscription"}
        told = medbots("bot", "list", "--format", form)
        assert told.code == 0
        warning = "warning: membership is unknown: this login may not read ProjectMembership\n"
        assert told.err.count(warning) == 1
        if form == "json":
            rows = {row["key"]: row for row in told.json}
            assert (rows["own"]["id"], rows["own"]["membership"]) == ("bot-own", None)
        else:
            (row,) = (line for line in told.out.splitlines() if " bot-own " in line)
            assert row.split()[-3:] == ["not", "visible", "d" * 12]

    def test_who_may_not_see_bots(self, ward: Ward, medbots: Medbots) -> None:
        """Without Bots there is no list: exit 4."""
        ward.forbidden = {"Bot"}
        told = medbots("bot", "list")
        assert (told.code, told.out) == (4, "")
        assert "Bot" in told.err

    def test_a_linked_projects_bot_is_not_ours(self, ward: Ward, medbots: Medbots) -> None:
        """What another project deployed under our identifier is not deployed here."""
        identifier = [{"system": "urn:medbots/bot", "value": "embedding"}]
        ward.foreign.append(
            {
                "resourceType": "Bot",
                "id": "x",
                "identifier": identifier,
                "meta": {"project": "p2"},
            }
        )
        rows = medbots("bot", "list", "--format", "json").json
        assert {row["deployed"] for row in rows} == {False}

    def test_text(self, ward: Ward, medbots: Medbots) -> None:
        """A row a bot, a short digest, and how to bring what is missing."""
        ward.answers = {"embedding": {}}
        told = medbots("bot", "list")
        rows = {line.split()[0]: line.split() for line in told.out.splitlines() if line.strip()}
        assert rows["embedding"][-4:] == ["yes", "bot", "none", "d" * 12]
        assert rows["semantic-search"][-2:] == ["no", "user"]
        assert told.err == "medbots deploy brings what is not deployed\n"


def test_a_pause_is_a_pause() -> None:
    """By default it waits for real between two looks."""
    assert following.follow.__kwdefaults__["sleep"] is asyncio.sleep
