"""The text of records by the Embedding Bot's own modules, which run under Node beside this process.

Records go in over a pipe and chunks come out; what a record refers to, Node asks back over the same
pipe. It has no network, no token and nothing of this process's environment.
"""

from __future__ import annotations

import asyncio
import base64
import concurrent.futures
import contextlib
import datetime as dt
import json
import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

from medbots import errors
from medbots.inventory import Text, Version

RUNNER = Path(__file__).with_suffix(".mjs")
_NEEDED = ("SYSTEMROOT",)
"""All of the environment that Node gets: Windows needs it."""
_SECONDS = 120.0
"""For the texts of one batch; a text that takes longer never ends."""
_HOPELESS = 3
"""Records in a row that end the process, after which the fault is not theirs."""

Json = dict[str, Any]


class Reader(Protocol):
    """Where records refer to."""

    async def records(self, kind: str, ids: Sequence[str]) -> list[Json]:
        """Return those that are there."""
        ...

    async def record(self, kind: str, resource_id: str) -> Json | None:
        """Return one; None where there is none."""
        ...

    async def binary(self, binary_id: str, most: int) -> bytes | int:
        """Return its bytes, no more than `most`, or the HTTP status that came instead."""
        ...


class RecordTexts:
    """One Node process, started when it is needed and again when it has ended."""

    def __init__(
        self, node: Path, bundle: Path, reader: Reader, base_url: str, model_version: str
    ) -> None:
        self._command = [str(node), str(RUNNER), str(bundle.resolve())]
        self._reader = reader
        self._base_url = base_url
        self._model = model_version
        self._process: subprocess.Popen[bytes] | None = None
        # One thread writes, for a full pipe must not stop the loop, and lines must not mix.
        self._writing = concurrent.futures.ThreadPoolExecutor(1)
        self._waiting: dict[int, asyncio.Future[Json]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._number = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self._answering:
            task.cancel()
        self._kill()
        self._writing.shutdown(cancel_futures=True)

    async def texts(self, records: Sequence[Json]) -> list[Text | str]:
        """Return the text of each record, or the error code that stands for it."""
        if not records:
            return []
        common = {"kind": "record", "modelVersion": self._model, "baseUrl": self._base_url}
        orders = [{**common, "resource": one} for one in records]
        answers = await self._ask(orders)
        lost = [place for place, one in enumerate(answers) if one is _FAILED]
        # One of them has ended the process: which one, shows when each is asked alone.
        in_a_row = 0
        for place in lost if len(orders) > 1 else ():
            (answers[place],) = await self._ask([orders[place]])
            in_a_row = in_a_row + 1 if answers[place] is _FAILED else 0
            if in_a_row == _HOPELESS:
                break
        return [_text(*one) for one in zip(records, answers, strict=True)]

    async def _ask(self, orders: Sequence[Json]) -> list[Json]:
        loop = asyncio.get_running_loop()
        process = self._started(loop)
        lines, futures = [], []
        for order in orders:
            self._number += 1
            future: asyncio.Future[Json] = loop.create_future()
            self._waiting[self._number] = future
            futures.append(future)
            lines.append({**order, "id": self._number})
        await self._write(process, lines)
        try:
            async with asyncio.timeout(_SECONDS):
                await asyncio.wait(futures)
        except TimeoutError:
            # Which of them it hangs on, nobody knows; those that it has told are told.
            self._kill()
        return [one.result() if one.done() else _FAILED for one in futures]

    def _started(self, loop: asyncio.AbstractEventLoop) -> subprocess.Popen[bytes]:
        if self._process is not None:
            return self._process
        environ = {name: os.environ[name] for name in _NEEDED if name in os.environ}
        try:
            process = subprocess.Popen(  # noqa: S603 (a list of arguments, no shell)
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # What Node says when it ends may quote what it was given.
                stderr=subprocess.DEVNULL,
                env=environ,
            )
        except OSError as error:
            said = error.strerror or str(error)
            raise errors.MedbotsError(f"{self._command[0]} cannot be started: {said}") from error
        self._process = process
        self._reading = threading.Thread(target=self._read, args=(process, loop), daemon=True)
        self._reading.start()
        return process

    def _read(self, process: subprocess.Popen[bytes], loop: asyncio.AbstractEventLoop) -> None:
        """Hand each line to the loop, in a thread of its own."""
        assert process.stdout is not None  # noqa: S101 (a pipe was asked for)
        with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits any more.
            with contextlib.suppress(ValueError):  # No JSON: what it says is not to be understood.
                for line in process.stdout:
                    loop.call_soon_threadsafe(self._take, process, json.loads(line))
            loop.call_soon_threadsafe(self._ended, process)

    def _take(self, process: subprocess.Popen[bytes], message: Json) -> None:
        if message["kind"] == "ask":
            task = asyncio.ensure_future(self._answer(process, message))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
            return
        future = self._waiting.pop(message["id"], None)
        if future is not None and not future.done():
            future.set_result(message)

    def _ended(self, process: subprocess.Popen[bytes]) -> None:
        if process is self._process:
            self._kill()

    def _forget(self) -> None:
        """Let all who wait know that nothing will come."""
        for future in self._waiting.values():
            if not future.done():
                future.set_result(_FAILED)
        self._waiting.clear()

    async def _answer(self, process: subprocess.Popen[bytes], question: Json) -> None:
        answer: Json = {"kind": "answer", "id": question["id"]}
        try:
            answer["value"] = await self._found(
                question["what"], question["ids"], question.get("most", 0)
            )
        except errors.MedbotsError:
            answer["failed"] = True
        await self._write(process, [answer])

    async def _found(self, what: str, ids: Sequence[str], most: int = 0) -> Any:
        match what:
            case "observations":
                return await self._reader.records("Observation", ids)
            case "medication":
                return await self._reader.record("Medication", ids[0])
            case "binary-facts":
                try:
                    return await self._reader.record("Binary", ids[0])
                except errors.NotAllowedError:
                    return None
            case _:
                found = await self._reader.binary(ids[0], most)
                if isinstance(found, int):
                    return {"status": found}
                return {"data": base64.b64encode(found).decode()}

    async def _write(self, process: subprocess.Popen[bytes], messages: Sequence[Json]) -> None:
        data = "".join(json.dumps(one) + "\n" for one in messages).encode()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._writing, _send, process, data)

    def _kill(self) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        process.wait()
        self._reading.join()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._forget()


_FAILED: Json = {"kind": "failure", "code": "EMBEDDING_ERROR", "message": ""}


def _send(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None  # noqa: S101 (a pipe was asked for)
    try:
        process.stdin.write(data)
        process.stdin.flush()
    except (OSError, ValueError):
        # It has ended; whoever reads from it notices.
        return


def _text(record: Json, answer: Mapping[str, Any]) -> Text | str:
    if answer["kind"] != "record":
        return str(answer["code"])
    chunks = tuple((one[0], one[1], one[2]) for one in answer["chunks"])
    return Text(_version(record), answer["patientId"], chunks, answer["hash"])


def _version(record: Json) -> Version:
    meta = record["meta"]
    return Version(
        str(record["id"]).lower(),
        str(meta["versionId"]),
        dt.datetime.fromisoformat(meta["lastUpdated"]),
    )
