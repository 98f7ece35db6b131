"""`audit`: what is asked of the server, and what is never shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.ward import PLANT, PRACTITIONER, START, Ward
from tests.unit.cli.conftest import Medbots

SUBTYPE = "urn:medbots/ai-audit-event"


def event_of(ward: Ward, minutes: float = 0, **more: Any) -> dict[str, Any]:
    """Keep an event of the trail as the bots write it, with a record's words where they may be."""
    details = {
        "query-sha256": "2d" * 32,
        "results": "3",
        "confidence": "0.91",
        "claimed-practitioner": "Practitioner/x",
        "reason": "LLM_ERROR",
        "prompt": PLANT,
        "note": PLANT.lower(),
        "word": "diabetes",
    }
    event: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "type": {"code": "rest", "display": PLANT},
        "subtype": [
            {"system": "http://hl7.org/fhir/restful-interaction", "code": "operation"},
            {"system": SUBTYPE, "code": "command_blocked"},
        ],
        "action": "E",
        "recorded": (START + timedelta(minutes=minutes)).isoformat(timespec="milliseconds"),
        "outcome": "4",
        "outcomeDesc": f"SAFETY_BLOCKED: {PLANT}",
        "agent": [
            {"who": {"reference": "Device/d1"}, "name": PLANT, "requestor": False},
            {"who": {"reference": PRACTITIONER, "display": PLANT}, "requestor": True},
        ],
        "source": {"observer": {"reference": "Bot/bot-audit-logging", "display": PLANT}},
        "entity": [
            {"what": {"reference": "Patient/p9", "display": PLANT}},
            {"what": {"reference": "Encounter/e9", "display": PLANT}},
            {"name": "c0ffee"},
            {"what": {"reference": "Bot/bot-rag-pipeline"}},
            {
                "what": {"identifier": {"value": "request-1"}},
                "detail": [{"type": k, "valueString": v} for k, v in details.items()],
            },
        ],
        **more,
    }
    return ward.add(event, minutes)


@pytest.fixture
def audited(ward: Ward) -> Ward:
    """A project with one event."""
    ward.answers = {"embedding": {}, "rag-pipeline": {}, "audit-logging": {}}
    event_of(ward)
    return ward


def test_json(audited: Ward, medbots: Medbots) -> None:
    """Codes, times, references, counts and hashes; the bot is who did it, not who wrote it down."""
    (found,) = medbots("audit", "--format", "json").json
    assert found == {
        "id": found["id"],
        "at": "2026-03-01T08:00:00.000Z",
        "type": "command_blocked",
        "action": "E",
        "outcome": "4",
        "ok": False,
        "code": "SAFETY_BLOCKED",
        "bot": "rag-pipeline",
        "user": PRACTITIONER,
        "patient": "Patient/p9",
        "commandId": "c0ffee",
        "resources": ["Encounter/e9"],
        "requestId": "request-1",
        "facts": {
            "query-sha256": "2d" * 32,
            "results": "3",
            "confidence": "0.91",
            "claimed-practitioner": "Practitioner/x",
            "reason": "LLM_ERROR",
        },
    }


@pytest.mark.parametrize("args", [(), ("-v",), ("--format", "json"), ("--format", "json", "-v")])
def test_no_words_of_a_record(audited: Ward, medbots: Medbots, args: tuple[str, ...]) -> None:
    """No display, no description, no prompt: not even where somebody asks for more."""
    told = str(medbots("audit", *args)).lower()
    assert PLANT.lower() not in told
    assert "diabetes" not in told


def test_a_name_that_is_no_id(ward: Ward, medbots: Medbots) -> None:
    """An entity's name is shown only where it can be the id of a command."""
    event_of(ward, entity=[{"name": PLANT}])
    assert medbots("audit", "--format", "json").json[0]["commandId"] is None


def test_the_table(audited: Ward, medbots: Medbots) -> None:
    """The newest last; a column that was asked for is left out, for it says the same everywhere."""
    event_of(audited, 1, outcome="0", outcomeDesc=None)
    told = medbots("audit")
    rows = [line.split() for line in told.out.splitlines() if "command_blocked" in line]
    first = ["command_blocked", "minor", "SAFETY_BLOCKED", "rag-pipeline", "d0", "p9", "c0ffee"]
    assert rows[0][2:] == first
    assert rows[1][2:] == ["command_blocked", "ok", "rag-pipeline", "d0", "p9", "c0ffee"]
    told = medbots("audit", "--patient", "p9", "--type", "command_blocked")
    assert not {"type", "patient", "p9"} & set(told.out.split())


def test_what_is_asked(audited: Ward, medbots: Medbots) -> None:
    """Each option is a search parameter of the server."""
    medbots(
        *("audit", "--type", "rag_query", "--patient", "p9", "--bot", "rag-pipeline"),
        *("--user", "d0"),
        *("--outcome", "failed", "--since", "2026-03-01T00:00Z", "--until", "2026-03-02T00:00Z"),
        *("--command-id", "c0ffee", "--limit", "7"),
    )
    assert audited.asked("AuditEvent") == {
        "subtype": [f"{SUBTYPE}|rag_query"],
        "patient": ["Patient/p9"],
        "entity": ["Bot/bot-rag-pipeline"],
        "agent": ["Practitioner/d0"],
        "outcome": ["4,8,12"],
        "date": ["ge2026-03-01T00:00:00.000+00:00", "lt2026-03-02T00:00:00.000+00:00"],
        "entity-name:exact": ["c0ffee"],
        "_sort": ["-date"],
        "_count": ["8"],
    }
    medbots("audit", "--user", "ClientApplication/c1", "--outcome", "ok")
    assert audited.asked("AuditEvent") == {
        "subtype": [f"{SUBTYPE}|"],
        "agent": ["ClientApplication/c1"],
        "outcome": ["0"],
        "_sort": ["-date"],
        "_count": ["51"],
    }


def test_a_date_includes_its_day(audited: Ward, medbots: Medbots) -> None:
    """`--until` a date means its end, `--since` a date its start."""
    medbots("audit", "--since", "2026-03-01", "--until", "2026-03-01")
    since, until = audited.asked("AuditEvent")["date"]
    start, end = (datetime.fromisoformat(one[2:]) for one in (since, until))
    assert end - start == timedelta(days=1)


def test_ago(audited: Ward, medbots: Medbots) -> None:
    """A length of time counts back from now."""
    medbots("audit", "--since", "2h")
    (since,) = audited.asked("AuditEvent")["date"]
    ago = datetime.now(UTC) - datetime.fromisoformat(since[2:])
    assert timedelta(hours=2) <= ago < timedelta(hours=2, minutes=1)


def test_a_limit(audited: Ward, medbots: Medbots) -> None:
    """The newest are kept, and it is said that there are more."""
    event_of(audited, 1, outcome="8")
    told = medbots("audit", "--limit", "1", "--format", "json")
    assert [one["outcome"] for one in told.json] == ["8"]
    assert told.err == "the newest 1; --limit and --since show more\n"


def test_nothing(ward: Ward, medbots: Medbots) -> None:
    """No event is no failure, and is said; a project without bots can be audited too."""
    told = medbots("audit")
    assert (told.code, told.out, told.err) == (0, "", "no event is like that\n")
    assert medbots("audit", "--format", "json").json == []


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("--type", "comand_blocked"), 64, "did you mean command_blocked?"),
        (("--type", "zzz"), 64, "types: embedding_failure"),
        (("--type", ""), 64, "no bot writes events"),
        (("--patient", ""), 64, "no id of a Patient"),
        (("--patient", "Practitioner/x"), 64, "no id of a Patient"),
        (("--user", "a/b/c"), 64, "no id of a Practitioner"),
        (("--command-id", ""), 64, "no id of a command"),
        (("--command-id", "a b"), 64, "no id of a command"),
        (("--outcome", "bad"), 64, "--outcome"),
        (("--since", "yesterday"), 64, "no point in time"),
        (("--until", ""), 64, "no point in time"),
        (("--bot", "rag-pipelin"), 64, "did you mean rag-pipeline?"),
        (("--bot", "semantic-search"), 1, "is not deployed"),
    ],
)
def test_mistakes(
    audited: Ward, medbots: Medbots, args: tuple[str, ...], code: int, words: str
) -> None:
    """Each is one message; none is taken for a wider search."""
    told = medbots("audit", *args)
    assert (told.code, told.out) == (code, "")
    assert words in told.err
    assert all(kind != "AuditEvent" for kind, _ in audited.searches)


@pytest.mark.parametrize("claimed", ["Bot/bot-embedding", "Bot/bot-approval-queue", "Bot/x"])
def test_a_bot_that_somebody_claims(ward: Ward, medbots: Medbots, claimed: str) -> None:
    """Anybody can have an event written for any bot: only bots that need it are believed."""
    ward.answers = {"embedding": {}, "approval-queue": {}, "audit-logging": {}}
    event_of(ward, entity=[{"what": {"reference": claimed}}])
    assert medbots("audit", "--format", "json").json[0]["bot"] == "audit-logging"
