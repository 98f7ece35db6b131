"""Subscriptions of a test, and what each of them ran for."""

from __future__ import annotations

from tests.live import scratch
from tests.live.medplum import Json
from tests.live.scratch import Scratch


class Watch:
    """Subscriptions of one bot on things of this test alone, and what each of them ran for."""

    def __init__(self, bots: Scratch) -> None:
        """Make a bot that does nothing."""
        self.bots = bots
        self.code = scratch.own_code()
        self.endpoint = f"Bot/{bots.bot()['id']}"

    def on(self, criteria: str | None = None, **fields: object) -> str:
        """Subscribe; return the Subscription's reference. Default: every Task of this test."""
        made = self.bots.subscription(criteria or f"Task?code={self.code}", self.endpoint, **fields)
        return f"Subscription/{made['id']}"

    def runs(self, subscription: str) -> list[str]:
        """Return what a Subscription ran for, oldest first; "" for what is deleted."""
        return [subject_of(each) for each in reversed(scratch.runs(self.bots.admin, subscription))]

    def wait(self, subscription: str, number: int) -> list[str]:
        """Wait for so many runs, and return what they were for."""
        scratch.wait_for_runs(self.bots.admin, subscription, number)
        return self.runs(subscription)


def subject_of(event: Json) -> str:
    """Return the reference of a run's input; that of a deleted resource is not named."""
    references = (str(each["what"]["reference"]) for each in event["entity"])
    others = (each for each in references if not each.startswith(("Bot/", "Subscription/")))
    return next(others, "")
