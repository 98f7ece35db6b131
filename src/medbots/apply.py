"""Applies a plan. It decides nothing: it writes what the plan says, in order, and reports."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass

from medbots import errors, model, plan, secret, state

_STAGES: tuple[tuple[state.Kind, ...], ...] = (
    (state.Kind.FEATURE,),
    (state.Kind.SECRET,),
    (state.Kind.POLICY, state.Kind.DEVICE),
    (state.Kind.BOT,),
    (state.Kind.MEMBERSHIP,),
    (state.Kind.SUBSCRIPTION,),
)


_LISTED = (state.Kind.FEATURE, state.Kind.SECRET)


class Status(enum.StrEnum):
    """How a change ended."""

    PLANNED = "planned"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Applied:
    """A change and how it ended."""

    change: plan.Change
    status: Status
    id: str | None = None
    error: errors.MedbotsError | None = None
    reason: str = ""
    """Why it was skipped."""


async def apply(
    the_plan: plan.Plan, server: state.Server, *, jobs: int = 4
) -> AsyncIterator[Applied]:
    """Write the plan's changes, at most `jobs` at a time, and yield each as it ends.

    A change that fails does not stop independent ones; those that need it are skipped.

    Raises:
        errors.NotAllowedError: the login may not do a part of it; nothing was written.
    """
    the_plan.raise_if_blocked()
    run = _Run(the_plan, server, jobs)
    for kinds in _STAGES:
        stage = [change for change in the_plan.changes if change.kind in kinds]
        async for applied in run.stage(stage):
            yield applied


class _Run:
    """The ids that are known so far, and what failed."""

    def __init__(self, the_plan: plan.Plan, server: state.Server, jobs: int) -> None:
        self._desired = the_plan.desired
        self._server = server
        self._gate = asyncio.Semaphore(jobs)
        self._ids = {(kind, key): found for kind, key, found in the_plan.ids}
        self._failed: set[tuple[state.Kind, str]] = set()

    async def stage(self, changes: list[plan.Change]) -> AsyncIterator[Applied]:
        for change in changes:
            if change.skip:
                yield Applied(change, Status.SKIPPED, change.id, reason=change.skip)
            elif not change.to_do:
                yield Applied(change, Status.DONE, change.id)
        groups = _groups([change for change in changes if change.to_do])
        tasks = [asyncio.ensure_future(self._write(group)) for group in groups]
        try:
            for task in asyncio.as_completed(tasks):
                for applied in await task:
                    yield applied
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _write(self, group: list[plan.Change]) -> list[Applied]:
        missing = next((need for need in self._needs(group[0]) if need in self._failed), None)
        if missing:
            reason = f"{missing[0]} {missing[1]!r} failed"
            return [self._failure(change, None, reason) for change in group]
        async with self._gate:
            try:
                written = await self._call(group)
            except errors.MedbotsError as error:
                return [self._failure(change, error) for change in group]
        for change in group:
            self._ids[change.kind, change.key] = written
        return [Applied(change, Status.DONE, written) for change in group]

    def _failure(
        self, change: plan.Change, error: errors.MedbotsError | None, reason: str = ""
    ) -> Applied:
        self._failed.add((change.kind, change.key))
        status = Status.FAILED if error else Status.SKIPPED
        return Applied(change, status, change.id, error, reason)

    def _needs(self, change: plan.Change) -> list[tuple[state.Kind, str]]:
        match change.kind, change.spec:
            case state.Kind.BOT, model.BotSpec(key=key):
                return [(state.Kind.POLICY, key)]
            case state.Kind.MEMBERSHIP, model.BotSpec(key=key):
                return [(state.Kind.BOT, key), (state.Kind.POLICY, key)]
            case state.Kind.SUBSCRIPTION, model.SubscriptionSpec(bot=key):
                return [(state.Kind.BOT, key)]
            case _:
                return []

    def _call(self, group: list[plan.Change]) -> Awaitable[str]:
        change = group[0]
        server = self._server
        match change.kind, change.spec:
            case state.Kind.FEATURE, _:
                return server.add_features(tuple(one.key for one in group))
            case state.Kind.SECRET, _:
                return server.write_secrets(_secret_values(group))
            case state.Kind.POLICY, model.BotSpec() as spec:
                return server.write_policy(change.id, spec)
            case state.Kind.DEVICE, model.DeviceSpec() as spec:
                return server.write_device(change.id, spec)
            case state.Kind.BOT, model.BotSpec() as spec:
                bundle = self._desired.bundles[spec.key]
                if change.id is None:
                    return server.create_bot(spec, bundle, self._policy(spec))
                upload = "executableCode" in change.fields
                return server.update_bot(change.id, spec, bundle, upload=upload)
            case state.Kind.MEMBERSHIP, model.BotSpec() as spec:
                bot_id = self._ids[state.Kind.BOT, spec.key]
                return server.write_membership(bot_id, change.id, self._policy(spec))
            case state.Kind.SUBSCRIPTION, model.SubscriptionSpec() as spec:
                bot_id = self._ids[state.Kind.BOT, spec.bot]
                return server.write_subscription(change.id, spec, bot_id)
            case _:
                raise AssertionError(f"no way to write a {change.kind}")

    def _policy(self, spec: model.BotSpec) -> str | None:
        return self._ids.get((state.Kind.POLICY, spec.key)) if spec.policy else None


def _groups(changes: list[plan.Change]) -> list[list[plan.Change]]:
    """Features, and secrets, are one list of the project: all of a kind are one write."""
    listed = [change for change in changes if change.kind in _LISTED]
    alone = [[change] for change in changes if change.kind not in _LISTED]
    return ([listed] if listed else []) + alone


def _secret_values(group: list[plan.Change]) -> dict[str, secret.Secret]:
    return {
        change.spec.name: change.spec.value
        for change in group
        if isinstance(change.spec, model.SecretSpec) and change.spec.value is not None
    }
