"""Plays an adversarial case on a running stack, and judges what came of it."""

from __future__ import annotations

from tests.live import polling
from tests.live.safety_case import WELL, Case, Model
from tests.live.safety_commands import CommandSteps
from tests.live.safety_expectations import Expectations
from tests.live.safety_scene import Scene


def play(scene: Scene, case: Case, model: Model | None) -> None:
    """Do what a case says, and see that it came to nothing.

    Raises:
        BrokenError: it did not.
        AssertionError: the case could not be played, or the bot did not run.
    """
    for name, resource in case.given.items():
        scene.known[name] = scene.made.create(scene.filled(resource))
    for name in case.embedded:
        scene.stage.wait_for_rows(scene.known[name])
    scene.begun = _server_time(scene)
    scene.model.begin(model)
    steps, expectations = CommandSteps(scene), Expectations(scene)
    for step in case.steps:
        steps.do(step)
    _see_that_it_ran(scene, case.bot)
    name = model.name if model else WELL
    for wish in case.expect:
        if name in wish.get("with", (name,)):
            expectations.judge(wish)


def see_the_model(scene: Scene, case: Case, model: Model | None) -> None:
    """See that the model's part in a case is what the case says.

    Raises:
        AssertionError: a model was asked, and the case has no hostile one; or the hostile one was
            not asked.
    """

    def hit() -> bool:
        return any(call.get("fault") == model.kind for call in scene.model.chats() if model)

    if model:
        # A slow model is noted only once it has answered.
        polling.until(hit, f"a call of the model that is {model.name}", patience=3.0)
    elif not case.models:
        calls = scene.model.chats()
        assert not calls, f"{case.id}: a model takes part, and no hostile one is named"


def _server_time(scene: Scene) -> str:
    """Return the time of the last resource, by the server's clock."""
    last = next(reversed(scene.known.values()), None)
    last = last or scene.made.create({"resourceType": "Basic", "code": {"text": "safety"}})
    return str(last["meta"]["lastUpdated"])


def _see_that_it_ran(scene: Scene, bot: str) -> None:
    """See that the case ran its bot: the bot answered or was seen, and the server audited it."""
    assert bot in scene.ran, f"{bot} did not run: {scene.answers}"
    source = f"Bot/{scene.bot(bot)}"
    query = f"AuditEvent?source={source}&type=execute&_lastUpdated=ge{scene.begun}&_count=1"
    polling.until(lambda: scene.find(query), f"a run of {bot}")
