"""What must come of an adversarial case: one method a verb of `expect`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.live import polling
from tests.live.medplum import Json
from tests.live.safety_scene import BrokenError, Scene, at, short, text_of

SETTLE_SECONDS = 1.0
"""How long something that a subscription would do is waited for."""


class Expectations:
    """Judges what came of a case."""

    def __init__(self, scene: Scene) -> None:
        """Judge a scene."""
        self._scene = scene
        self._admin = scene.stage.clinic.admin

    def judge(self, wish: Json) -> None:
        """Judge by one expectation, a mapping of its verb to what is expected.

        Raises:
            BrokenError: it does not hold.
        """
        (verb, what), *more = ((key, value) for key, value in wish.items() if key != "with")
        assert not more, f"one verb an expectation: {wish}"
        method: Callable[[Any], None] = getattr(self, f"_expect_{verb}")
        method(what)

    # Answers

    def _expect_answer(self, what: Json) -> None:
        """The answer (`of`) has these values at these dotted paths."""
        answer = self._answer(what)
        for path, value in what["has"].items():
            seen = at(answer, path)
            if seen != self._filled(value):
                raise BrokenError(f"{path} is {seen!r}, not {value!r}, in {short(answer)}")

    def _expect_of_answers(self, what: Json) -> None:
        """Of several answers (`of`), so many (`is`) have these values."""
        wanted = self._filled(what["has"])
        answers = [self._scene.answers[name] for name in what["of"]]
        hits = [all(at(one, path) == wanted[path] for path in wanted) for one in answers]
        if sum(hits) != what["is"]:
            raise BrokenError(f"{sum(hits)} answers have {wanted}: {short(answers)}")

    def _expect_holds(self, what: Json) -> None:
        """The answer, or what stands `at` a path in it, holds each of these texts."""
        said = self._part(what)
        for text in map(str, self._filled(what["texts"])):
            if text.lower() not in said.lower():
                raise BrokenError(f"{text!r} is not in {short(said)}")

    def _expect_lacks(self, what: Json) -> None:
        """The answer, or what stands `at` a path in it, holds none of these texts."""
        said = self._part(what)
        for text in map(str, self._filled(what["texts"])):
            if text.lower() in said.lower():
                raise BrokenError(f"{text!r} is in {short(said)}")

    def _expect_not_said(self, texts: Sequence[str]) -> None:
        """No bot's answer, AuditEvent, Task or Communication holds one of these texts."""
        said = json.dumps(list(self._scene.answers.values()), ensure_ascii=False)
        # Of AuditEvents the bots' own: a server's audit of a REST call may quote what was asked.
        said += json.dumps(self._scene.trail(), ensure_ascii=False)
        for resource_type in ("Task", "Communication"):
            query = f"{resource_type}?_lastUpdated=ge{self._scene.begun}&_count=200"
            said += json.dumps(self._scene.find(query), ensure_ascii=False)
        for text in map(str, self._filled(texts)):
            if text.lower() in said.lower():
                raise BrokenError(f"{text!r} was said")

    def _expect_asked(self, what: Json) -> None:
        """The model was asked so many times (`is`), each time at most so much (`characters`)."""
        calls = self._scene.model.chats()
        if "is" in what and len(calls) != what["is"]:
            raise BrokenError(f"the model was asked {len(calls)} times, not {what['is']}")
        longest = max((call.get("promptCharacters", 0) for call in calls), default=0)
        if longest > what.get("characters", longest):
            raise BrokenError(f"the model was asked with {longest} characters")

    # Resources

    def _expect_trail(self, what: Json) -> None:
        """The bots' AuditEvents of a `type` are so many (`is`), hold `texts`, `lack` others."""
        events = self._scene.trail(what.get("type"))
        if len(events) != what.get("is", len(events)):
            raise BrokenError(f"{len(events)} events of {what.get('type')}, not {what['is']}")
        said = json.dumps(events, ensure_ascii=False)
        for text in map(str, self._filled(what.get("texts", ()))):
            if text not in said:
                raise BrokenError(f"the trail does not say {text!r}: {short(said)}")
        for text in map(str, self._filled(what.get("lack", ()))):
            if text in said:
                raise BrokenError(f"the trail says {text!r}")

    def _expect_count(self, what: Json) -> None:
        """A search finds so many resources; `within` some seconds, and with `later` for a while."""
        query, wanted = self._filled(what["search"]), what["is"]
        seen = self._wait(lambda: len(self._scene.find(query)), wanted, what)
        if seen != wanted:
            raise BrokenError(f"{seen} instead of {wanted} by {query}")

    def _expect_state(self, what: Json) -> None:
        """A resource has these values at dotted paths; `within` some seconds, `later` for long."""
        reference = self._scene.reference(what["of"])
        wanted = self._filled(what["has"])

        def state() -> Json:
            current = self._admin.read(reference)
            return {path: at(current, path) for path in wanted}

        seen = self._wait(state, wanted, what)
        if seen != wanted:
            raise BrokenError(f"{what['of']} is {seen}, not {wanted}")

    def _expect_rows(self, what: Json) -> None:
        """A resource has so many rows (`is`, `most`), which hold `texts` and `lack` others.

        `columns` says what each row has.
        """
        rows = self._scene.stage.rows(self._scene.known[what["of"]])
        if len(rows) != what.get("is", len(rows)) or len(rows) > what.get("most", len(rows)):
            raise BrokenError(f"{len(rows)} rows")
        said = "\n".join(str(row["content_text"]) for row in rows)
        for text in self._filled(what.get("texts", ())):
            if text.lower() not in said.lower():
                raise BrokenError(f"no row holds {text!r}: {short(said)}")
        for text in self._filled(what.get("lack", ())):
            if text.lower() in said.lower():
                raise BrokenError(f"a row holds {text!r}")
        for name, value in self._filled(what.get("columns", {})).items():
            seen = {None if row[name] is None else str(row[name]) for row in rows}
            if seen != {value}:
                raise BrokenError(f"{name} of the rows is {seen}, not {value!r}")

    def _expect_unchanged(self, name: str) -> None:
        """A resource has the version that it was last seen with."""
        known = self._scene.known[name]
        try:
            current = self._admin.read(self._scene.reference(name))
        except AssertionError:
            raise BrokenError(f"{name} is gone") from None
        if current["meta"]["versionId"] != known["meta"]["versionId"]:
            raise BrokenError(f"{name} was changed")

    def _wait(self, look: Callable[[], Any], wanted: Any, what: Json) -> Any:
        """Return what is seen once it is what is wanted, or at the end; see it again `later`."""
        deadline = time.monotonic() + what.get("within", 0)
        seen = look()
        while seen != wanted and time.monotonic() < deadline:
            time.sleep(polling.FIRST_PAUSE)
            seen = look()
        if what.get("later") and seen == wanted:
            time.sleep(SETTLE_SECONDS)
            seen = look()
        return seen

    def _answer(self, what: Json) -> Any:
        return self._scene.answers[what.get("of", "answer")]

    def _part(self, what: Json) -> str:
        answer = self._answer(what)
        return text_of(at(answer, what["at"]) if "at" in what else answer)

    def _filled(self, value: Any) -> Any:
        return self._scene.filled(value)
