"""A clinic with all bots, people who act in it, and a model that obeys the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.live import safety_guard, safety_play
from tests.live import stage as stage_module
from tests.live.medplum import Json
from tests.live.safety_case import WELL, Case, Guard, Model
from tests.live.safety_model import ModelControl
from tests.live.safety_people import People
from tests.live.safety_scene import BrokenError, Scene
from tests.live.scratch import Scratch
from tests.live.stage import Stage


@dataclass
class Theatre:
    """Where cases are played."""

    stage: Stage
    people: People
    control: ModelControl
    folder: Path
    """Takes sources without a guard."""
    keeps: bool
    """What cases make goes with the project, so nobody deletes it before."""

    @cached_property
    def bots(self) -> dict[str, Json]:
        """The deployed Bots by key."""
        system = f"{self.stage.namespace}/bot"
        found = self.stage.clinic.admin.find(f"Bot?identifier={system}|&_count=50")
        keys = {
            one["value"]: bot
            for bot in found
            for one in bot["identifier"]
            if one["system"] == system
        }
        assert keys, "no bot is deployed"
        return keys

    def play(self, case: Case, model: Model | None) -> None:
        """Play a case, with the model at its best or with one that goes wrong.

        Raises:
            AssertionError: what must not happen happened, or the case shows nothing.
        """
        with self._scene() as scene:
            safety_play.play(scene, case, model)
            safety_play.see_the_model(scene, case, model)

    def breaks(self, case: Case, model: Model | None) -> bool:
        """Return whether what must not happen happens in a case."""
        name = f"{case.id} with {model.name if model else WELL}"
        with self._scene() as scene:
            try:
                safety_play.play(scene, case, model)
            except BrokenError as broken:
                print(f"{name}: {broken}")  # noqa: T201 (shown where the test fails)
                return True
            print(f"{name} holds: {scene.answers}")  # noqa: T201
        return False

    @contextmanager
    def without(self, guard: Guard) -> Iterator[None]:
        """Have the bots run without a guard."""
        with safety_guard.without(self.stage, guard, self.bots, self.folder / "without"):
            yield

    @contextmanager
    def _scene(self) -> Iterator[Scene]:
        with self._records() as made:
            scene = Scene(self.stage, made, self.people, self.control, self.bots)
            try:
                yield scene
            finally:
                self.control.end()
                for undo in reversed(scene.undo):
                    undo()

    @contextmanager
    def _records(self) -> Iterator[Scratch]:
        if self.keeps:
            yield Scratch(self.stage.clinic)
        else:
            with stage_module.records(self.stage) as made:
                yield made
