"""`embeddings search`: what the bot is asked, and what is shown of its hits."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.ward import Ward
from tests.unit.cli.conftest import Medbots

PATIENT = "5fc72d46-b9a6-438a-b129-63ae13e653fb"
HIT = {
    "resourceType": "DocumentReference",
    "resourceId": "97ae6152-cc42-44bb-b0d6-b7ac1be023cf",
    "patientId": PATIENT,
    "similarity": 0.5833,
    "matchedText": "[DocumentReference | 2025-07-04 | Subjective]\nNew-onset fever 38.3°C.\nMore.",
}


def found(*hits: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return an answer of the bot."""
    return {
        "success": True,
        "results": list(hits),
        "queryEmbeddingGenerated": True,
        "searchDurationMs": 3,
        "filteredCount": 0,
        **more,
    }


@pytest.mark.parametrize(
    ("args", "asked"),
    [
        ((), {}),
        (("--patient", f"Patient/{PATIENT}"), {"patientId": PATIENT}),
        (
            ("--type", "Condition,Observation", "--type", "DiagnosticReport"),
            {"resourceTypes": ["Condition", "Observation", "DiagnosticReport"]},
        ),
        (("--content-type", "note"), {"contentType": "note"}),
        (("--since", "2026-03-01"), {"dateRange": {"start": "2026-03-01"}}),
        (
            ("--since", "2026-03-01", "--until", "2026-03-31"),
            {"dateRange": {"start": "2026-03-01", "end": "2026-03-31"}},
        ),
        (("--limit", "5", "--min-similarity", "0"), {"limit": 5, "minSimilarity": 0.0}),
        (("--no-snippets",), {"includeSnippets": False}),
    ],
)
def test_what_is_asked(
    ward: Ward, medbots: Medbots, args: tuple[str, ...], asked: dict[str, Any]
) -> None:
    """Each option is a field of the bot; what is not given is left to it."""
    ward.answers["semantic-search"] = found(HIT)
    assert medbots("embeddings", "search", "fever", *args).code == 0
    assert ward.inputs == [("semantic-search", {"query": "fever", **asked})]


@pytest.mark.parametrize(
    "args",
    [
        ("--patient", ""),
        ("--patient", "Observation/x"),
        ("--patient", "a b"),
        ("--type", ""),
        ("--type", ","),
        ("--type", "Patient"),
        ("--type", "Condition,observation"),
        ("--content-type", "nonsense"),
        ("--content-type", ""),
        ("--since", ""),
        ("--since", "7d"),
        ("--since", "2026-02-30"),
        ("--until", "20260301"),
        ("--since", "2026-03-02", "--until", "2026-03-01"),
        ("--limit", "0"),
        ("--limit", "51"),
        ("--min-similarity", "1.1"),
        ("--min-similarity", "near"),
    ],
)
def test_mistakes(ward: Ward, medbots: Medbots, args: tuple[str, ...]) -> None:
    """Exit 64, and no search: above all not a wider one than was meant."""
    ward.answers["semantic-search"] = found(HIT)
    told = medbots("embeddings", "search", "fever", *args)
    assert (told.code, told.out, ward.inputs) == (64, "", [])


@pytest.mark.parametrize(
    ("args", "said", "hint"),
    [
        (
            ("--content-type", "text"),
            "--content-type 'text' is no kind of content",
            "--content-type takes structured, note",
        ),
        (
            ("--type", "condition"),
            "--type 'condition' is no type of which records are embedded",
            "did you mean Condition? --type takes Condition, DiagnosticReport, ",
        ),
        (("--limit", "x"), "'x' is not a valid whole number from 1 to 50.", ""),
        (("--min-similarity", "x"), "'x' is not a valid number from 0 to 1.", ""),
        (("--limit", "51"), "1<=x<=50", ""),
    ],
)
def test_a_mistake_is_told_with_what_may_be(
    medbots: Medbots, args: tuple[str, ...], said: str, hint: str
) -> None:
    """The flag, what was given, and every value that it takes."""
    told = medbots("embeddings", "search", "fever", *args)
    first, second = told.err.splitlines()
    assert said in first
    assert second.startswith(f"hint: {hint}")


def test_help_names_the_kinds_of_content(medbots: Medbots) -> None:
    """Who asks for help need not guess them."""
    assert "structured|note" in medbots("embeddings", "search", "--help").out


def test_the_table(ward: Ward, medbots: Medbots) -> None:
    """Similarity, type, id, date, first line of what was found."""
    ward.answers["semantic-search"] = found(HIT, {**HIT, "matchedText": "no heading\x1b[2J"})
    told = medbots("embeddings", "search", "fever")
    rows = [line.split() for line in told.out.splitlines() if line.startswith(" 0.")]
    assert rows[0] == [
        *("0.58", "DocumentReference", HIT["resourceId"], "2025-07-04"),
        *("New-onset", "fever", "38.3°C."),
    ]
    assert rows[1][3:] == ["no", "heading\N{REPLACEMENT CHARACTER}[2J"]
    assert "More." not in told.out
    assert told.err == ""


def test_without_snippets(ward: Ward, medbots: Medbots) -> None:
    """Where no hit has a text there is no column for it."""
    hit = {name: value for name, value in HIT.items() if name != "matchedText"}
    ward.answers["semantic-search"] = found(hit)
    out = medbots("embeddings", "search", "fever", "--no-snippets").out
    assert ("snippet" in out, "date" in out, HIT["resourceId"] in out) == (False, False, True)


def test_json_is_the_bots_own(ward: Ward, medbots: Medbots) -> None:
    """Nothing is added and nothing left out; warnings stand on stderr too."""
    answer = found(HIT, warnings=["AUDIT_FAILED"])
    ward.answers["semantic-search"] = answer
    told = medbots("embeddings", "search", "fever", "--format", "json")
    assert (told.json, told.err) == (answer, "warning: AUDIT_FAILED\n")


def test_nothing_found(ward: Ward, medbots: Medbots) -> None:
    """It is said, with what was left out, and is no failure."""
    ward.answers["semantic-search"] = found(filteredCount=3, warnings=["AUDIT_FAILED"])
    told = medbots("embeddings", "search", "fever", "--min-similarity", "0.7")
    assert (told.code, told.out) == (0, "")
    assert told.err.splitlines() == [
        "warning: AUDIT_FAILED",
        "nothing found: no record comes as near as 0.7, or you may read none",
        "3 left out: gone, out of date, or not for you to read",
    ]


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        ((), "--patient ID searches one patient's record; across patients a Practitioner alone"),
        (("--patient", PATIENT), "medbots whoami shows who is logged in"),
    ],
)
def test_who_may_not_search(ward: Ward, medbots: Medbots, args: tuple[str, ...], hint: str) -> None:
    """Who is no Practitioner is told the way that is open, not only that this one is not."""
    words = "Only a Practitioner may search without patientId"
    answer = {"success": False, "errorCode": "UNAUTHORIZED", "message": words}
    ward.answers["semantic-search"] = answer
    told = medbots("embeddings", "search", "fever", *args)
    assert (told.code, told.out) == (1, "")
    assert f"UNAUTHORIZED: {words}\nhint: {hint}" in told.err


REPAIR = "medbots bot exec embedding --field action=backfill --field resourceType=Observation"


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    ("code", "looks", "repair"),
    [
        ("EMBEDDING_ERROR", "medbots verify --only 'router.*' tells what is down", REPAIR),
        ("LLM_ROUTER_ERROR", "medbots verify --only 'router.*' tells what is down", REPAIR),
        ("DIMENSION_MISMATCH", "medbots verify --only 'embeddings.*' tells what differs", REPAIR),
        ("PATIENT_NOT_FOUND", "check the id, and by medbots whoami who is logged in", ""),
    ],
)
def test_it_fails(
    ward: Ward, medbots: Medbots, form: str, code: str, looks: str, repair: str
) -> None:
    """Exit 1 with code, message and cure; JSON is the bot's own, and beside it the error."""
    answer = {"success": False, "errorCode": code, "message": "so it is"}
    ward.answers["semantic-search"] = answer
    told = medbots("embeddings", "search", "fever", "--format", form)
    assert told.code == 1
    said, hint = told.err.splitlines()
    assert said == f"error: bot 'semantic-search' failed: {code}: so it is"
    assert hint.startswith(f"hint: {looks}")
    assert repair in hint
    if form == "text":
        assert told.out == ""
    else:
        error = {
            "code": "bot-failed",
            "message": said.removeprefix("error: "),
            "hint": hint.removeprefix("hint: "),
        }
        assert told.json == {**answer, "error": error}


@pytest.mark.parametrize("answer", [None, [], "words", {"results": []}])
def test_it_is_another_bot(ward: Ward, medbots: Medbots, answer: Any) -> None:
    """What answers something else is no bot of ours; it is not shown as a result."""
    ward.answers["semantic-search"] = answer
    told = medbots("embeddings", "search", "fever")
    assert (told.code, told.out) == (1, "")
    assert "hint: medbots deploy --only semantic-search" in told.err
