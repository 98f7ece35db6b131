"""`bot`, `embeddings search` and `audit` on a running server: what a person at a terminal sees."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import yaml

from tests.live import cable, medplum, polling, projects
from tests.live import stage as stage_module
from tests.live.command import Medbots
from tests.live.medplum import Json
from tests.live.scratch import Scratch
from tests.live.stage import Stage
from tests.live.test_embedding import condition

WORDS = "Bronchial asthma with nocturnal wheezing"
NOT_ALLOWED, UNREACHABLE, INTERRUPTED, UNHEARD = 4, 5, 130, 141
THROW = "export async function handler(): Promise<unknown> { throw new Error('WORDS'); }\n"


@pytest.fixture(scope="module")
def known(deployed: Stage) -> Iterator[Json]:
    """A Condition with its vectors."""
    with stage_module.records(deployed) as made:
        patient = made.create({"resourceType": "Patient"})
        record = made.create(condition(patient, WORDS))
        deployed.wait_for_rows(record)
        yield record


@pytest.fixture(scope="module")
def thrower(deployed: Stage) -> Medbots:
    """The command with a manifest that has one more bot, deployed: it throws a record's words."""
    source = deployed.manifest.parent / "src" / "bots" / "thrower.ts"
    source.write_text(THROW.replace("WORDS", WORDS))
    document = yaml.safe_load(deployed.manifest.read_text(encoding="utf-8"))
    name = projects.unique("thrower")
    document["bots"]["thrower"] = {"name": name, "source": "src/bots/thrower.ts"}
    file = deployed.manifest.with_name("thrower.yaml")
    file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    medbots = deployed.medbots.with_manifest(file)
    medbots("deploy", "--only", "thrower").expect()
    return medbots


def patient_of(record: Json) -> str:
    """Return the id of a record's patient."""
    return str(record["subject"]["reference"]).removeprefix("Patient/")


class TestList:
    """`bot list`."""

    def test_deployed(self, deployed: Stage) -> None:
        """Each bot of the manifest with its id, its membership and the digest of its code."""
        rows = {row["key"]: row for row in deployed.medbots.json("bot", "list")}
        keys = yaml.safe_load(deployed.manifest.read_text(encoding="utf-8"))["bots"]
        assert list(rows) == list(keys)
        for key, row in rows.items():
            bot = deployed.bot(key)
            assert (row["id"], row["name"]) == (bot["id"], bot["name"])
            assert (row["deployed"], row["membership"]) == (True, True)
            assert row["runAsUser"] is bot.get("runAsUser", False)
            assert row["digest"].startswith("sha256:")

    def test_not_deployed(self, deployed: Stage) -> None:
        """Under another namespace nothing of it stands there."""
        namespace = f"{deployed.namespace}:other"
        document = yaml.safe_load(deployed.manifest.read_text(encoding="utf-8"))
        for bot in document["bots"].values():
            bot["name"] = f"other {bot['name']}"
        file = deployed.manifest.with_name("other.yaml")
        file.write_text(yaml.safe_dump({**document, "namespace": namespace}), encoding="utf-8")
        other = deployed.medbots.with_manifest(file)
        assert {row["deployed"] for row in other.json("bot", "list")} == {False}
        told = other("bot", "exec", "semantic-search", "--field", "query=x").expect(1)
        assert "medbots deploy --only semantic-search" in told.err
        assert "hint: medbots deploy" in other("bot", "logs").expect(1).err

    def test_who_may_not_see_memberships(self, deployed: Stage, records: Scratch) -> None:
        """A member who is no admin sees the bots, and that memberships are not theirs to see."""
        member = records.member()
        token = str(member.session.headers["Authorization"]).removeprefix("Bearer ")
        theirs = deployed.medbots.having(MEDPLUM_ACCESS_TOKEN=token)
        assert {row["membership"] for row in theirs.json("bot", "list")} <= {None, True}

    def test_who_may_see_bots_alone(self, deployed: Stage, records: Scratch) -> None:
        """A member whose policy names Bots and nothing else: the list, and one warning."""
        policy = {"resourceType": "AccessPolicy", "name": projects.unique("bots")}
        made = records.create({**policy, "resource": [{"resourceType": "Bot"}]})
        member = records.member(f"AccessPolicy/{made['id']}")
        token = str(member.session.headers["Authorization"]).removeprefix("Bearer ")
        theirs = deployed.medbots.having(MEDPLUM_ACCESS_TOKEN=token)
        told = theirs("bot", "list").expect()
        assert deployed.bot("embedding")["id"] in told.out
        assert told.err == (
            "warning: membership is unknown: this login may not read ProjectMembership\n"
        )
        assert {row["membership"] for row in theirs.json("bot", "list")} == {None}


class TestExec:
    """`bot exec`."""

    def test_it_runs_as_the_user(self, deployed: Stage, known: Json) -> None:
        """Fields and file make the input; the answer is the bot's own, on one line with --raw."""
        args = ("bot", "exec", "semantic-search", "--field", f"query={WORDS}")
        told = deployed.medbots(*args, "--field", f"patientId={patient_of(known)}", "--raw")
        (hit, *_) = told.expect().json["results"]
        assert hit["resourceId"] == known["id"]
        stdin = json.dumps({"query": WORDS, "patientId": patient_of(known), "limit": 9})
        args = ("bot", "exec", "semantic-search", "--input", "-", "--field", "limit=1")
        assert len(deployed.medbots(*args, stdin=stdin).expect().json["results"]) == 1

    def test_success_false(self, deployed: Stage) -> None:
        """The bot refuses: exit 1, its answer on stdout, the reason on stderr."""
        told = deployed.medbots("bot", "exec", "semantic-search", "--field", "limit=0")
        assert told.expect(1).json["errorCode"] == "INVALID_INPUT"
        assert told.err.startswith("error: bot 'semantic-search' failed: INVALID_INPUT: ")

    @pytest.mark.parametrize(
        ("key", "field", "words"),
        [
            ("semantic-search", "qury=x", "query is missing, and qury looks like a misspelling"),
            ("rag-pipeline", "qestion=x", "question is missing, and qestion looks like a"),
            ("embedding", "resourcetype=Condition", "resourceType is missing, and resourcetype"),
            ("approval-queue", "taskID=x", "taskId is missing, and taskID looks like a"),
        ],
    )
    def test_a_misspelt_field(self, deployed: Stage, key: str, field: str, words: str) -> None:
        """What was meant is said beside what is missing."""
        told = deployed.medbots("bot", "exec", key, "--field", field, "--raw").expect(1)
        assert words in told.err
        assert told.json["details"]["misspelt"] == field.partition("=")[0]

    def test_an_unknown_field(self, deployed: Stage) -> None:
        """It is refused with the one that it resembles, and JSON has the contract's error."""
        args = ("bot", "exec", "semantic-search", "--field", "query=x", "--field", "limt=3")
        answer = deployed.medbots.json(*args, code=1)
        said = "limt is no field of this bot: did you mean limit?"
        assert (answer["message"], answer["details"]["nearest"]) == (said, "limit")
        assert answer["error"]["message"].endswith(said)

    def test_what_was_missed_can_be_embedded(self, deployed: Stage, known: Json) -> None:
        """What hints name after an outage works as it is spelt."""
        args = ("bot", "exec", "embedding", "--field", "action=backfill")
        answer = deployed.medbots.json(*args, "--field", "resourceType=Condition")
        assert (answer["success"], answer["failed"]) == (True, [])
        assert answer["unchanged"] >= 1
        assert known["id"]

    def test_it_throws(self, thrower: Medbots) -> None:
        """What another bot throws is withheld until it is asked for."""
        for form in ("text", "json"):
            told = thrower("bot", "exec", "thrower", "--format", form).expect(1)
            assert WORDS not in told.out + told.err
        assert WORDS in thrower("bot", "exec", "thrower", "-v").expect(1).err

    def test_it_is_too_slow(self, deployed: Stage) -> None:
        """No answer in time: exit 5."""
        args = ("bot", "exec", "semantic-search", "--field", "query=x", "--timeout", "1ms")
        assert "no answer within 0.001 s" in deployed.medbots(*args).expect(UNREACHABLE).err

    def test_who_may_not_read_the_bot(self, deployed: Stage, records: Scratch) -> None:
        """Somebody whose policy names no Bot is not allowed: exit 4."""
        rules = [{"resourceType": "Patient", "interaction": ["read"]}]
        policy = {"resourceType": "AccessPolicy", "name": projects.unique("none")}
        made = records.create({**policy, "resource": rules})
        member = records.member(f"AccessPolicy/{made['id']}")
        token = str(member.session.headers["Authorization"]).removeprefix("Bearer ")
        theirs = deployed.medbots.having(MEDPLUM_ACCESS_TOKEN=token)
        theirs("bot", "exec", "semantic-search", "--field", "query=x").expect(NOT_ALLOWED)
        theirs("bot", "logs").expect(NOT_ALLOWED)
        theirs("audit").expect(NOT_ALLOWED)


class TestLogs:
    """`bot logs`."""

    def test_a_subscriptions_run(self, deployed: Stage, known: Json) -> None:
        """The trigger by its name, the record by its reference, and nothing of its words."""

        def found() -> list[Json]:
            runs = deployed.medbots.json("bot", "logs", "embedding", "--since", "1h")
            return [run for run in runs if run["input"] == f"Condition/{known['id']}"]

        run, *_ = polling.until(found, "the run of the Embedding Bot")
        assert run["trigger"] == deployed.subscription("embedding-condition")["reason"]
        assert (run["ok"], run["bot"]) == (True, "embedding")
        assert run["requester"].startswith("Practitioner/")
        assert run["durationMs"] >= 0
        told = deployed.medbots("bot", "logs", "embedding", "-v").expect()
        assert WORDS not in told.out + told.err

    def test_a_failed_run(self, thrower: Medbots) -> None:
        """A run that threw is found by --failed; its log is withheld until it is asked for."""
        thrower("bot", "exec", "thrower").expect(1)
        args = ("bot", "logs", "thrower", "--failed", "--limit", "1")

        def failed() -> str:
            return thrower(*args).expect().out

        line = polling.until(failed, "the failed run")
        assert " failed " in line
        assert "$execute" in line
        assert WORDS not in line
        assert WORDS in thrower(*args, "-v").expect().out
        assert thrower("bot", "logs", "embedding", "--failed", "--since", "0s").expect().out == ""

    @pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
    def test_follow(self, deployed: Stage, known: Json) -> None:
        """Each run comes once, as JSON lines; Ctrl-C ends it with 130 and without a word."""
        now = datetime.now(UTC).isoformat()
        args = ("bot", "logs", "semantic-search", "--follow", "--format", "json", "--since", now)
        ask = ("bot", "exec", "semantic-search", "--field")
        with deployed.medbots.started(*args) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            seen = []
            for _ in range(2):
                deployed.medbots(*ask, f"query={WORDS}").expect()
                seen.append(json.loads(process.stdout.readline()))
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (INTERRUPTED, "", "")
        assert [run["trigger"] for run in seen] == ["$execute"] * 2
        assert len({run["id"] for run in seen}) == 2

    @pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
    def test_follow_until_nobody_reads(self, deployed: Stage) -> None:
        """Whoever reads goes away after a line, as head does: quietly, and with 141."""
        now = datetime.now(UTC).isoformat()
        args = ("bot", "logs", "semantic-search", "--follow", "--since", now)
        ask = ("bot", "exec", "semantic-search", "--field", f"query={WORDS}")
        with deployed.medbots.started(*args) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            deployed.medbots(*ask).expect()
            assert "$execute" in process.stdout.readline()
            process.stdout.close()
            deployed.medbots(*ask).expect()
            assert (process.wait(timeout=20), process.stderr.read()) == (UNHEARD, "")

    @pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
    def test_follow_beyond_a_restart(self, deployed: Stage) -> None:
        """While the server is away it waits and says so; what ran meanwhile is not lost."""
        if not deployed.target.base_url.startswith("http:"):
            pytest.skip("a cable carries plain HTTP")
        now = datetime.now(UTC).isoformat()
        args = ("bot", "logs", "semantic-search", "--follow", "--since", now)
        ask = ("bot", "exec", "semantic-search", "--field", f"query={WORDS}")
        with cable.to(deployed.target.base_url) as line:
            far = deployed.medbots.having(MEDPLUM_BASE_URL=line.url)
            with far.started(*args) as process:
                assert process.stdout is not None
                assert process.stderr is not None
                deployed.medbots(*ask).expect()
                first = process.stdout.readline()
                line.cut()
                waiting = process.stderr.readline()
                deployed.medbots(*ask).expect()
                line.mend()
                second = process.stdout.readline()
                process.send_signal(signal.SIGTERM)
                out, err = process.communicate(timeout=20)
        assert waiting.endswith("; waiting for it\n")
        assert line.url in waiting
        assert ("$execute" in first, "$execute" in second) == (True, True)
        said = f"{line.url} answers again\n"
        assert (process.returncode, out, err) == (INTERRUPTED, "", said)


class TestSearch:
    """`embeddings search`."""

    def test_found(self, deployed: Stage, known: Json) -> None:
        """As JSON the bot's own answer; as a table id, date and snippet."""
        args = ("embeddings", "search", WORDS, "--patient", patient_of(known))
        (hit,) = deployed.medbots.json(*args, "--limit", "1")["results"]
        assert (hit["resourceType"], hit["resourceId"]) == ("Condition", known["id"])
        told = deployed.medbots(*args).expect()
        assert known["id"] in told.out
        assert WORDS in told.out
        assert WORDS not in deployed.medbots(*args, "--no-snippets").expect().out

    @pytest.mark.parametrize(
        "args",
        [
            ("--type", "Observation"),
            ("--content-type", "note"),
            ("--since", "2100-01-01"),
            ("--until", "1900-01-01"),
            ("--min-similarity", "1"),
        ],
        ids=lambda args: args[0],
    )
    def test_each_option_is_a_limit(
        self, deployed: Stage, known: Json, args: tuple[str, ...]
    ) -> None:
        """What does not match is not found, and that is said."""
        about = ("embeddings", "search", f"{WORDS} today", "--patient", patient_of(known))
        told = deployed.medbots(*about, *args).expect()
        assert (told.out, "nothing found" in told.err) == ("", True)

    def test_no_such_patient(self, deployed: Stage) -> None:
        """Nothing could be searched: exit 1, the bot's code and what to look at."""
        nobody = "00000000-0000-4000-8000-000000000000"
        args = ("embeddings", "search", WORDS, "--patient", nobody)
        told = deployed.medbots(*args).expect(1)
        assert f"PATIENT_NOT_FOUND: Patient/{nobody} does not exist, or may not be read" in told.err
        assert deployed.medbots.json(*args, code=1)["error"]["hint"].startswith("check the id")

    def test_the_bot_refuses(self, deployed: Stage) -> None:
        """What the bot finds wrong is exit 1, in its words."""
        told = deployed.medbots("embeddings", "search", "x" * 2_001).expect(1)
        assert "INVALID_INPUT: query" in told.err
        assert told.out == ""


class TestAudit:
    """`audit`."""

    def test_a_search_is_found(self, deployed: Stage, known: Json) -> None:
        """By type, patient, bot and user; never with the words of the question."""
        patient = patient_of(known)
        deployed.medbots("embeddings", "search", WORDS, "--patient", patient).expect()
        me = medplum.expect(deployed.clinic.admin.get("auth/me"))["profile"]["id"]
        args = (
            *("audit", "--type", "semantic_search", "--patient", patient),
            *("--bot", "semantic-search", "--user", me, "--outcome", "ok", "--since", "1h"),
        )
        event = polling.until(lambda: deployed.medbots.json(*args), "the event")[-1]
        assert event["patient"] == f"Patient/{patient}"
        assert (event["bot"], event["user"]) == ("semantic-search", f"Practitioner/{me}")
        assert int(event["facts"]["query-length"]) == len(WORDS)
        told = deployed.medbots("audit", "-v").expect()
        assert WORDS not in told.out + told.err

    @pytest.mark.parametrize(
        "args",
        [
            ("--type", "command_expired"),
            ("--outcome", "failed"),
            ("--until", "2020-01-01"),
            ("--since", "2100-01-01"),
            ("--command-id", "c0ffee"),
            ("--user", "d0d0d0d0-0000-4000-8000-000000000000"),
            ("--bot", "embedding"),
        ],
        ids=lambda args: args[0],
    )
    def test_each_option_is_a_limit(
        self, deployed: Stage, known: Json, args: tuple[str, ...]
    ) -> None:
        """What does not match is not found."""
        patient = patient_of(known)
        deployed.medbots("embeddings", "search", WORDS, "--patient", patient).expect()
        assert deployed.medbots.json("audit", "--patient", patient, *args) == []

    def test_the_trail_of_a_command(self, deployed: Stage) -> None:
        """A command's id finds its events, and no other command's that begins alike."""
        for command in ("c0ffee01", "c0ffee0123"):
            deployed.medbots(
                *("bot", "exec", "audit-logging", "--field", "eventType=command_received"),
                *("--field", "action=E", "--field", "outcome=0"),
                *("--field", f'commandId="{command}"', "--field", "confidence=0.9"),
            ).expect()

        def found() -> list[Json]:
            events: list[Json] = deployed.medbots.json("audit", "--command-id", "c0ffee01")
            return events

        (event,) = polling.until(found, "the event")
        assert (event["commandId"], event["facts"]["confidence"]) == ("c0ffee01", "0.9")
