"""The process that makes records' text: its answers, its questions, its end."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from medbots import assets, bundler, errors, nodejs
from medbots.embeddings import record_text
from medbots.inventory import Text

PATIENT = "8f5d7a5e-1111-4111-8111-111111111111"
RESULT = "aa5d7a5e-3333-4333-8333-333333333331"
META = {"versionId": "v1", "lastUpdated": "2026-01-02T03:04:05.678Z"}


class Reader:
    """What records refer to."""

    def __init__(self, *, down: bool = False) -> None:
        self.down = down
        self.asked: list[str] = []

    async def records(self, kind: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return an Observation of each id."""
        self.asked += [f"{kind}/{one}" for one in ids]
        if self.down:
            raise errors.UnreachableError("no answer")
        return [{"resourceType": kind, "id": one, "code": {"text": "Troponin"}} for one in ids]

    async def record(self, kind: str, resource_id: str) -> dict[str, Any] | None:
        """Return nothing."""
        return None

    async def binary(self, binary_id: str, most: int) -> bytes | int:
        """Return no bytes."""
        return 404


def condition(name: str, text: str = "Asthma") -> dict[str, Any]:
    """Return a Condition as the server has it."""
    subject = {"reference": f"Patient/{PATIENT}"}
    return {"resourceType": "Condition", "id": name, "meta": META, "code": {"text": text}} | {
        "subject": subject
    }


def report() -> dict[str, Any]:
    """Return a report with one result."""
    return {
        "resourceType": "DiagnosticReport",
        "id": "r",
        "meta": META,
        "status": "final",
        "code": {"text": "Panel"},
        "result": [{"reference": f"Observation/{RESULT}"}],
    }


@pytest.fixture(scope="module", name="program")
def _program() -> tuple[Path, Path]:
    """Node and the bundle."""
    node = nodejs.program()
    if node is None:
        pytest.skip("the packaged Node is not installed")
    tool = assets.bot_templates() / "src" / "tools" / "record-text.ts"
    return node, bundler.program(tool)[0]


def made(program: tuple[Path, Path], reader: Reader | None = None) -> record_text.RecordTexts:
    """Return the maker of texts."""
    return record_text.RecordTexts(*program, reader or Reader(), "http://clinic.example/", "m")


async def test_texts_come_in_the_order_of_their_records(program: tuple[Path, Path]) -> None:
    """Each record has its own version, patient and chunks; one that must not be found has none."""
    wrong = condition("c") | {"verificationStatus": {"coding": [{"code": "entered-in-error"}]}}
    async with made(program) as texts:
        first, second, third = await texts.texts([condition("A"), condition("b", "Gout"), wrong])
    assert isinstance(first, Text)
    assert isinstance(second, Text)
    assert isinstance(third, Text)
    assert (first.version.id, first.version.version, first.patient) == ("a", "v1", PATIENT)
    assert first.version.updated.isoformat() == "2026-01-02T03:04:05.678000+00:00"
    assert "Asthma" in first.chunks[0][2]
    assert "Gout" in second.chunks[0][2]
    assert (third.chunks, third.hash) == ((), None)


async def test_nothing_starts_for_no_records(tmp_path: Path) -> None:
    """No record, no process."""
    async with made((tmp_path / "node", tmp_path)) as texts:
        assert await texts.texts([]) == []


async def test_what_a_record_refers_to_is_asked_for(program: tuple[Path, Path]) -> None:
    """A report's results are read by this process, and stand in its text."""
    reader = Reader()
    async with made(program, reader) as texts:
        (found,) = await texts.texts([report()])
    assert reader.asked == [f"Observation/{RESULT}"]
    assert isinstance(found, Text)
    assert "Troponin" in "".join(chunk[2] for chunk in found.chunks)


async def test_what_cannot_be_read_fails_its_record_alone(program: tuple[Path, Path]) -> None:
    """A question without an answer: that record's code; the others have their text."""
    async with made(program, Reader(down=True)) as texts:
        found = await texts.texts(
            [report(), condition("a"), {"resourceType": "Condition"} | {"note": 7}]
        )
    assert found[0] == "EMBEDDING_ERROR"
    assert isinstance(found[1], Text)
    assert found[2] == "EMBEDDING_ERROR"


async def test_many_at_once_and_large(program: tuple[Path, Path]) -> None:
    """Batches side by side, with attachments of a megabyte, all come back whole."""
    note = base64.b64encode(b"Rest and fluids. " * 60_000).decode()
    document = {
        "resourceType": "DocumentReference",
        "id": "d",
        "meta": META,
        "status": "current",
        "content": [{"attachment": {"contentType": "text/plain", "data": note}}],
    }
    async with made(program) as texts:
        batches = [[document, *(condition(f"{n}-{m}") for m in range(40))] for n in range(4)]
        found = await asyncio.gather(*(texts.texts(one) for one in batches))
    for place, batch in enumerate(found):
        assert [one.version.id for one in batch if isinstance(one, Text)] == [
            "d",
            *(f"{place}-{m}" for m in range(40)),
        ]
        assert isinstance(batch[0], Text)
        assert len(batch[0].chunks) == 200


async def test_one_that_is_killed_starts_again(program: tuple[Path, Path]) -> None:
    """When Node ends, what waited for it has failed; the next batch has a new one."""
    async with made(program) as texts:
        await texts.texts([condition("a")])
        process = texts._process
        assert process is not None
        process.kill()
        process.wait()
        failed = await texts.texts([condition("b")])
        again = await texts.texts([condition("c")])
        assert texts._process is not process
    assert failed == ["EMBEDDING_ERROR"]
    assert isinstance(again[0], Text)
    assert again[0].version.id == "c"


async def test_what_a_module_logs_is_no_answer(
    program: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Bots log by console.log: modules of one's own that do so spoil no text."""
    monkeypatch.setattr(record_text, "_SECONDS", 5.0)
    own = tmp_path / "own.js"
    own.write_text(
        "exports.serve = async () => {\n"
        "  for await (const line of require('node:readline').createInterface(process.stdin)) {\n"
        "    console.log('embedding a record'); console.info('again');\n"
        "    const { id } = JSON.parse(line);\n"
        "    const found = { kind: 'record', id, chunks: [['note', 'S', 'Asthma']], hash: 'h' };\n"
        "    process.stdout.write(JSON.stringify({ ...found, patientId: null }) + '\\n');\n"
        "  }\n"
        "};\n",
        encoding="utf-8",
    )
    async with made((program[0], own)) as texts:
        (found,) = await texts.texts([condition("a")])
    assert isinstance(found, Text)
    assert found.chunks == (("note", "S", "Asthma"),)


def stand_in(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str) -> record_text.RecordTexts:
    """Return a maker of texts whose process runs this Python."""
    script = folder / "stand_in.py"
    script.write_text(code, encoding="utf-8")
    monkeypatch.setattr(record_text, "RUNNER", script)
    return made((Path(sys.executable), folder))


async def test_a_text_that_never_ends_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The process is ended, its records have failed, and the run goes on."""
    monkeypatch.setattr(record_text, "_SECONDS", 0.5)
    async with stand_in(monkeypatch, tmp_path, "import time; time.sleep(60)") as texts:
        assert await texts.texts([condition("a"), condition("b")]) == ["EMBEDDING_ERROR"] * 2
        assert texts._process is None


ANSWERING = """
import json, sys
orders = []
for line in sys.stdin:
    order = json.loads(line)
    if order["resource"]["id"] in {fatal}:
        sys.exit(1)
    answer = {{"kind": "record", "id": order["id"], "patientId": None, "hash": None, "chunks": []}}
    print(json.dumps(answer), flush=True)
"""


async def test_one_record_that_ends_the_program_fails_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Those that waited beside it are asked again, one by one: no record keeps others out."""
    records = [condition(one) for one in ("a", "fatal", "b", "c")]
    async with stand_in(monkeypatch, tmp_path, ANSWERING.format(fatal={"fatal"})) as texts:
        first, fatal, *rest = await texts.texts(records)
    assert fatal == "EMBEDDING_ERROR"
    assert all(isinstance(one, Text) for one in (first, *rest))


async def test_a_program_that_never_works_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where one after the other ends it, the fault is not a record's."""
    started = []
    plain = subprocess.Popen

    def popen(*args: Any, **named: Any) -> Any:
        started.append(args)
        return plain(*args, **named)

    monkeypatch.setattr(subprocess, "Popen", popen)
    names = [str(one) for one in range(20)]
    async with stand_in(monkeypatch, tmp_path, ANSWERING.format(fatal=set(names))) as texts:
        found = await texts.texts([condition(one) for one in names])
    assert found == ["EMBEDDING_ERROR"] * 20
    assert len(started) == 4


async def test_what_is_no_answer_ends_it_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nobody waits for a process that says what cannot be understood."""
    code = "print('hello', flush=True); import time; time.sleep(60)"
    async with stand_in(monkeypatch, tmp_path, code) as texts, asyncio.timeout(10):
        assert await texts.texts([condition("a")]) == ["EMBEDDING_ERROR"]
        assert texts._process is None


async def test_it_gets_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither environment nor arguments hold anything of this process."""
    monkeypatch.setenv("MEDPLUM_ACCESS_TOKEN", "token")
    code = (
        "import json, os, sys\n"
        "order = json.loads(sys.stdin.readline())\n"
        "told = sorted(set(os.environ) - {'LC_CTYPE'}) + sys.argv[1:]\n"
        "print(json.dumps({'kind': 'record', 'id': order['id'], 'patientId': None, 'hash': None,"
        " 'chunks': [[one, '', ''] for one in told]}), flush=True)\n"
        "sys.stdin.read()\n"
    )
    async with stand_in(monkeypatch, tmp_path, code) as texts:
        (found,) = await texts.texts([condition("a")])
    assert isinstance(found, Text)
    assert [one[0] for one in found.chunks] == [str(tmp_path)]


async def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    """The error names it."""
    async with made((tmp_path / "node", tmp_path)) as texts:
        with pytest.raises(errors.MedbotsError, match="cannot be started"):
            await texts.texts([condition("a")])
