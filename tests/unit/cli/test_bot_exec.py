"""`bot exec`: what goes in, what is printed, and whose words reach an error."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.medplum_transport import outcome
from tests.support.ward import PLANT, Ward
from tests.unit.cli.conftest import Medbots

GOOD = {"success": True, "found": ["ä", 1, None]}
BAD = {"success": False, "errorCode": "INVALID_INPUT", "message": "limit must be less"}


class TestInput:
    """From file, stdin and fields."""

    @pytest.mark.parametrize(
        ("args", "body"),
        [
            ((), {}),
            (("--field", "query=fever and cough"), {"query": "fever and cough"}),
            (("--field", "limit=5", "--field", "on=true"), {"limit": 5, "on": True}),
            (("--field", 'ids=["a", "b"]'), {"ids": ["a", "b"]}),
            (("--field", 'text="5"'), {"text": "5"}),
            (("--field", "note=a=b"), {"note": "a=b"}),
            (("--field", "empty="), {"empty": ""}),
            (("--field", "odd=NaN"), {"odd": "NaN"}),
            (("--field", "nothing=null"), {"nothing": None}),
            (("--field", "id=12345678-1234-4234-8234-123456789012"), None),
        ],
    )
    def test_fields(self, ward: Ward, medbots: Medbots, args: tuple[str, ...], body: Any) -> None:
        """A value is JSON where it is JSON, else text."""
        ward.answers["embedding"] = GOOD
        assert medbots("bot", "exec", "embedding", *args).code == 0
        sent = {"id": args[1][3:]} if body is None else body
        assert ward.inputs == [("embedding", sent)]

    def test_a_file_and_fields(self, ward: Ward, medbots: Medbots, tmp_path: Path) -> None:
        """A field replaces what the file says; a byte order mark is no matter."""
        ward.answers["embedding"] = GOOD
        (tmp_path / "in.json").write_text('\ufeff{"a": 1, "b": {"c": 2}}', encoding="utf-8")
        medbots("bot", "exec", "embedding", "--input", "in.json", "--field", "a=3")
        assert ward.inputs[0][1] == {"a": 3, "b": {"c": 2}}

    def test_stdin(self, ward: Ward, medbots: Medbots, monkeypatch: pytest.MonkeyPatch) -> None:
        """`-` is stdin, and any JSON is an input."""
        ward.answers["embedding"] = GOOD
        monkeypatch.setattr(sys, "stdin", io.StringIO("[1, 2]"))
        assert medbots("bot", "exec", "embedding", "--input", "-").code == 0
        assert ward.inputs == [("embedding", [1, 2])]

    def test_stdin_is_closed(
        self, ward: Ward, medbots: Medbots, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A caller who has closed stdin is told so."""
        ward.answers["embedding"] = GOOD
        monkeypatch.setattr(sys, "stdin", None)
        told = medbots("bot", "exec", "embedding", "--input", "-")
        assert (told.code, told.err) == (64, "error: --input: stdin is closed\n")

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ('{"a": 1,\n  "b" 2}', "in.json:2:7: no JSON"),
            ("", "in.json:1:1: no JSON"),
            ('{"a": NaN}', "NaN is no number of JSON"),
            ("[" * 100_000, "nested too deeply"),
            ('{"a": ' + "1" * 5000 + "}", "no JSON"),
            ('{"a": "\\ud800"}', "no text in UTF-8"),
        ],
        ids=["comma", "empty", "nan", "deep", "digits", "surrogate"],
    )
    def test_no_json(
        self, ward: Ward, medbots: Medbots, tmp_path: Path, text: str, words: str
    ) -> None:
        """Exit 64, with the place, and nothing is run."""
        ward.answers["embedding"] = GOOD
        (tmp_path / "in.json").write_text(text)
        told = medbots("bot", "exec", "embedding", "--input", "in.json")
        assert (told.code, told.out) == (64, "")
        assert words in told.err
        assert ward.inputs == []

    @pytest.mark.parametrize(
        ("args", "words"),
        [
            (("--field", "query"), "give it as name=value"),
            (("--field", "=x"), "give it as name=value"),
            (("--field", "a=1", "--field", "a=2"), "given twice"),
            (("--input", "none.json"), "none.json: No such file"),
            (("--input", "."), "Is a directory"),
            (("--input", "bytes.json"), "no UTF-8 text"),
            (("--input", "list.json", "--field", "a=1"), "--input holds none"),
            (("--timeout", "0"), "no time"),
            (("--timeout", "soon"), "no length of time"),
        ],
    )
    def test_usage(
        self, ward: Ward, medbots: Medbots, tmp_path: Path, args: tuple[str, ...], words: str
    ) -> None:
        """A mistake in what is given is exit 64, before anything is sent."""
        ward.answers["embedding"] = GOOD
        (tmp_path / "bytes.json").write_bytes(b'{"a": "\xff"}')
        (tmp_path / "list.json").write_text("[1]")
        told = medbots("bot", "exec", "embedding", *args)
        assert (told.code, told.out, ward.inputs) == (64, "", [])
        assert words in told.err
        assert "Traceback" not in told.err


class TestOutput:
    """What is printed of an answer."""

    def test_text(self, ward: Ward, medbots: Medbots) -> None:
        """Laid out for reading."""
        ward.answers["embedding"] = GOOD
        told = medbots("bot", "exec", "embedding")
        assert told.out == json.dumps(GOOD, indent=2, ensure_ascii=False) + "\n"
        assert told.err == ""

    @pytest.mark.parametrize("args", [("--raw",), ("--format", "json")])
    @pytest.mark.parametrize("answer", [GOOD, [1], 42, None, {}])
    def test_on_one_line(
        self, ward: Ward, medbots: Medbots, answer: Any, args: tuple[str, ...]
    ) -> None:
        """The bot's JSON on one line."""
        ward.answers["embedding"] = answer
        told = medbots("bot", "exec", "embedding", *args)
        assert (told.code, told.json, told.out.count("\n")) == (0, answer, 1)

    def test_plain_words(self, ward: Ward, medbots: Medbots) -> None:
        """A bot may answer a bare text; what a terminal would obey is shown instead."""
        ward.answers["embedding"] = httpx.Response(200, text="two\nlines\x1b[2J")
        assert medbots("bot", "exec", "embedding").out == "two\nlines\N{REPLACEMENT CHARACTER}[2J\n"
        assert medbots("bot", "exec", "embedding", "--raw").json == "two\nlines\x1b[2J"

    def test_a_records_text_commands_no_terminal(self, ward: Ward, medbots: Medbots) -> None:
        """Control codes in JSON that is laid out are escaped or replaced."""
        ward.answers["embedding"] = {"success": True, "text": "a\x1b]0;b\x07\x9b31m\u202ec"}
        out = medbots("bot", "exec", "embedding").out
        assert not set(out) & set("\x1b\x07\x9b\u202e")


class TestFailure:
    """A bot that fails, or does not run."""

    def test_success_false(self, ward: Ward, medbots: Medbots) -> None:
        """Exit 1: the answer on stdout, code and message on stderr."""
        ward.answers["embedding"] = BAD
        told = medbots("bot", "exec", "embedding", "--raw")
        assert (told.code, told.json) == (1, BAD)
        said = "error: bot 'embedding' failed: INVALID_INPUT: limit must be less\n"
        assert told.err == said

    def test_success_false_as_json(self, ward: Ward, medbots: Medbots) -> None:
        """The bot's answer is the one document on stdout, with the contract's error beside it."""
        bad = {**BAD, "errorCode": "DB_ERROR"}
        ward.answers["embedding"] = bad
        told = medbots("bot", "exec", "embedding", "--format", "json")
        error = {
            "code": "bot-failed",
            "message": "bot 'embedding' failed: DB_ERROR: limit must be less",
            "hint": "medbots db status, and medbots verify",
        }
        assert (told.code, told.json) == (1, {**bad, "error": error})
        assert told.err == f"error: {error['message']}\nhint: {error['hint']}\n"

    @pytest.mark.parametrize("answer", [{**BAD, "error": "their own"}, GOOD, "words", [1]])
    def test_no_answer_is_rewritten(self, ward: Ward, medbots: Medbots, answer: Any) -> None:
        """A member `error` of the bot's own stays; with --raw nothing is added at all."""
        ward.answers = {"own": answer, "embedding": BAD}
        assert medbots("bot", "exec", "own", "--format", "json").json == answer
        assert medbots("bot", "exec", "embedding", "--raw", "--format", "json").json == BAD
        assert medbots("bot", "exec", "embedding").json == BAD

    def test_what_a_bot_says_commands_no_terminal(self, ward: Ward, medbots: Medbots) -> None:
        """Its message is one line, short and printable."""
        ward.answers["embedding"] = {**BAD, "message": "a\x1b[2J\nb" + "c" * 1000}
        told = medbots("bot", "exec", "embedding")
        assert "\x1b" not in told.err
        assert told.err.count("\n") == 1
        assert len(told.err) < 500

    def test_a_cure(self, ward: Ward, medbots: Medbots) -> None:
        """A code that has a cure brings it as the hint."""
        ward.answers["embedding"] = {**BAD, "errorCode": "DB_ERROR"}
        assert "\nhint: medbots db status" in medbots("bot", "exec", "embedding").err

    @pytest.mark.parametrize(
        "answer", [{**BAD, "message": PLANT}, {**BAD, "errorCode": PLANT}, {"success": False}]
    )
    def test_another_bots_words_stay_out_of_the_error(
        self, ward: Ward, medbots: Medbots, answer: dict[str, Any]
    ) -> None:
        """What a bot says that does not ship with medbots may quote a record."""
        ward.answers["own"] = answer
        told = medbots("bot", "exec", "own")
        assert (told.code, json.loads(told.out)) == (1, answer)
        assert PLANT not in told.err
        assert "bot 'own' failed: " in told.err

    def test_it_throws(self, ward: Ward, medbots: Medbots) -> None:
        """The words of a bot that ships with medbots are shown; they hold nothing of a record."""
        ward.answers["embedding"] = httpx.Response(400, json=outcome("expected 768 dimensions"))
        told = medbots("bot", "exec", "embedding")
        assert (told.code, told.out) == (1, "")
        assert told.err.startswith("error: bot 'embedding' ended in an error: expected 768")
        assert "hint: medbots bot logs embedding --limit 1" in told.err

    @pytest.mark.parametrize("status", [400, 403, 404, 409, 412, 500, 502])
    @pytest.mark.parametrize("form", ["text", "json"])
    def test_another_bot_throws(self, ward: Ward, medbots: Medbots, status: int, form: str) -> None:
        """Without -v its words are withheld, whatever status it throws; with -v they are shown."""
        ward.answers["own"] = httpx.Response(status, json=outcome(f"no {PLANT}"))
        told = medbots("bot", "exec", "own", "--format", form)
        assert told.code in (1, 4, 5)
        assert PLANT not in told.out + told.err
        assert "-v shows them" in told.out + told.err
        told = medbots("bot", "exec", "own", "--format", form, "-v")
        assert PLANT in told.out + told.err

    def test_debug_by_variable_shows_no_words(
        self, ward: Ward, medbots: Medbots, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """MEDBOTS_LOG=debug, which a pipeline may have set, narrates requests and no more."""
        monkeypatch.setenv("MEDBOTS_LOG", "debug")
        ward.answers["own"] = httpx.Response(400, json=outcome(PLANT))
        assert PLANT not in medbots("bot", "exec", "own").err

    def test_bots_are_off(self, ward: Ward, medbots: Medbots) -> None:
        """A project without the feature is named with its cure, also for a bot of their own."""
        ward.answers["own"] = httpx.Response(400, json=outcome("Bots not enabled"))
        told = medbots("bot", "exec", "own")
        assert "project 'Clinic' lacks the feature 'bots'" in told.err
        assert "hint: medbots project doctor" in told.err

    def test_it_is_not_deployed(self, ward: Ward, medbots: Medbots) -> None:
        """The cure is the deploy of that bot."""
        told = medbots("bot", "exec", "embedding")
        assert told.code == 1
        assert "bot 'embedding' is not deployed in project 'Clinic'" in told.err
        assert "hint: medbots deploy --only embedding" in told.err

    def test_there_is_none(self, ward: Ward, medbots: Medbots) -> None:
        """A key that nothing has: exit 64, and the nearest."""
        told = medbots("bot", "exec", "embeding", "--format", "json")
        assert (told.code, told.json["error"]["hint"]) == (64, "did you mean embedding?")
        assert "semantic-search" in medbots("bot", "exec", "zzz").err

    def test_another_projects_bot_is_not_run(self, ward: Ward, medbots: Medbots) -> None:
        """A bot of a linked project with our identifier is left alone."""
        identifier = [{"system": "urn:medbots/bot", "value": "embedding"}]
        ward.foreign.append(
            {"resourceType": "Bot", "id": "x", "identifier": identifier, "meta": {"project": "p2"}}
        )
        assert "is not deployed" in medbots("bot", "exec", "embedding").err

    def test_two_carry_the_key(self, ward: Ward, medbots: Medbots) -> None:
        """Ambiguous: neither is run."""
        ward.answers["embedding"] = GOOD
        identifier = [{"system": "urn:medbots/bot", "value": "embedding"}]
        ward.foreign.append(
            {"resourceType": "Bot", "id": "x", "identifier": identifier, "meta": {"project": "p1"}}
        )
        told = medbots("bot", "exec", "embedding")
        assert (told.code, ward.inputs) == (1, [])
        assert "two bots carry the key 'embedding'" in told.err

    def test_it_takes_too_long(self, ward: Ward, medbots: Medbots) -> None:
        """No answer in time: exit 5, and how to wait longer."""
        ward.answers["embedding"], ward.delay = GOOD, 30
        told = medbots("bot", "exec", "embedding", "--timeout", "100ms")
        assert told.code == 5
        assert "no answer within 0.1 s; whether it did its work is unknown" in told.err
        assert "--timeout waits longer" in told.err
