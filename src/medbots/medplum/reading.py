"""Reads one project: what is named first, then what refers to the bots found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from medbots import errors, model, state
from medbots.medplum import client as client_module
from medbots.medplum import fhir

_COUNT = 1000
"""Page size of a search that must be whole; more of one kind than this is an error."""

_BOT_FIELDS = "identifier,name,description,runtimeVersion,timeout,runAsUser,executableCode,meta"
"""Without `sourceCode`: the server signs a URL for each attachment it returns, which is slow."""


class Reader:
    """Reads the bots, subscriptions and their kin of one project."""

    def __init__(
        self, client: client_module.Client, names: fhir.Names, project: state.Project
    ) -> None:
        self._client = client
        self._names = names
        self._project = project
        self.raw: dict[str, fhir.Json] = {}
        """Resources as read, by id: what others wrote into them is kept on update."""

    async def read(self, desired: model.Desired) -> state.ServerState:
        """Return what the project holds of `desired`, in two requests at the most.

        Raises:
            errors.MedbotsError: the server cannot be reached, or refuses.
        """
        found = await self._read_named(desired)
        bots = tuple(fhir.live_bot(one, self._names) for one in found["Bot"])
        memberships, others = await self._read_linked(bots)
        subscriptions = {one["id"]: one for one in [*found["Subscription"], *others]}
        self.raw |= subscriptions | {one["id"]: fhir.whole(one) for one in found["Bot"]}
        self.raw |= {one["id"]: one for one in [*found["AccessPolicy"], *found["Device"]]}
        return state.ServerState(
            project=self._live_project(found["Project"]),
            rights=self._client.rights,
            bots=bots,
            memberships=memberships,
            policies=tuple(
                fhir.live_policy(one, key)
                for one in found["AccessPolicy"]
                if (key := self._names.tagged(one, "policy"))
            ),
            devices=tuple(
                fhir.live_device(one, key)
                for one in found["Device"]
                if (key := self._names.identified(one, "device"))
            ),
            subscriptions=tuple(
                fhir.live_subscription(one, self._names) for one in subscriptions.values()
            ),
        )

    async def subscriptions(self) -> list[tuple[state.LiveSubscription, str]]:
        """Return every Subscription of the project that runs a Bot, with the bot's key.

        A bot that is not ours, or does not exist, stands as `Bot/<id>`.
        """
        found = [
            fhir.live_subscription(one, self._names)
            async for one in self._client.search("Subscription", {"_sort": "_id"})
        ]
        triggers = [one for one in found if one.endpoint.startswith("Bot/")]
        ids = sorted({one.endpoint.removeprefix("Bot/") for one in triggers})
        keys: dict[str, str] = {}
        if ids:
            params = {"_id": ",".join(ids), "_fields": "identifier"}
            async for bot in self._client.search("Bot", params):
                key = self._names.identified(bot, "bot")
                keys[f"Bot/{bot['id']}"] = key or f"Bot/{bot['id']}"
        return [(one, keys.get(one.endpoint, one.endpoint)) for one in triggers]

    async def _read_named(self, desired: model.Desired) -> dict[str, list[fhir.Json]]:
        names = self._names
        keys = {bot.key for bot in desired.bots} | {one.bot for one in desired.subscriptions}
        searches: list[tuple[str, dict[str, str]]] = []
        if keys:
            token = names.token("bot", *sorted(keys))
            searches.append(("Bot", {"identifier": token, "_fields": _BOT_FIELDS}))
        if desired.bots:
            bot_names = ",".join(_escape(bot.name) for bot in desired.bots)
            searches.append(("Bot", {"name:exact": bot_names, "_fields": _BOT_FIELDS}))
            token = names.token("policy", *(bot.key for bot in desired.bots))
            searches.append(("AccessPolicy", {"_tag": token}))
        if desired.devices:
            token = names.token("device", *(one.key for one in desired.devices))
            searches.append(("Device", {"identifier": token}))
        if desired.subscriptions:
            token = names.token("subscription", *(one.key for one in desired.subscriptions))
            searches.append(("Subscription", {"_tag": token}))
        entries = [
            client_module.BatchEntry("GET", f"Project/{self._project.id}"),
            *(self._search(*search) for search in searches),
        ]
        first, *rest = await self._client.batch(entries)
        # Who may not read the Project still works in it.
        readable = first.status not in (403, 404)
        project = {"project": first.value()} if readable else {}
        found: dict[str, dict[str, fhir.Json]] = {"Project": project}
        for (kind, _), result in zip(searches, rest, strict=True):
            found.setdefault(kind, {}).update({one["id"]: one for one in _resources(result)})
        kinds = ("Project", "Bot", "AccessPolicy", "Device", "Subscription")
        return {kind: list(found.get(kind, {}).values()) for kind in kinds}

    def _live_project(self, found: list[fhir.Json]) -> state.Project:
        if not found:
            return replace(self._project, features=None, secrets=None)
        rights = self._client.rights
        return fhir.live_project(found[0], readable=rights.admin or rights.super_admin)

    async def _read_linked(
        self, bots: tuple[state.LiveBot, ...]
    ) -> tuple[tuple[state.LiveMembership, ...] | None, list[fhir.Json]]:
        """Read what refers to the bots: memberships, and subscriptions that run them."""
        if not bots:
            return (), []
        references = ",".join(f"Bot/{bot.id}" for bot in bots)
        members, triggers = await self._client.batch(
            [
                self._search("ProjectMembership", {"profile": references}),
                self._search("Subscription", {"url": references}),
            ]
        )
        if members.status == 403:  # noqa: PLR2004
            return None, _resources(triggers)
        memberships = tuple(fhir.live_membership(one) for one in _resources(members))
        return memberships, _resources(triggers)

    def _search(self, kind: str, params: Mapping[str, str]) -> client_module.BatchEntry:
        query = urlencode({**params, "_count": str(_COUNT), **self.held()})
        return client_module.BatchEntry("GET", f"{kind}?{query}")

    def held(self) -> dict[str, str]:
        """Return what holds a super admin's search to this project, which may not be their own."""
        return {"_project": self._project.id} if self._client.rights.super_admin else {}


def _resources(result: client_module.BatchResult) -> list[fhir.Json]:
    bundle: Any = result.value()
    if any(link.get("relation") == "next" for link in bundle.get("link") or ()):
        raise errors.StateError(f"more than {_COUNT} resources of one kind carry our marker")
    entries: Iterable[Any] = bundle.get("entry") or ()
    return [one["resource"] for one in entries if "resource" in one]


def _escape(value: str) -> str:
    """Escape a value of a FHIR search, in which a comma means `or`."""
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("|", "\\|").replace("$", "\\$")
