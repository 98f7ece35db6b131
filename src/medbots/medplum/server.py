"""The `state.Server` port on a real Medplum: one project, through one logged-in client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from medbots import errors, model, plan, secret, state
from medbots.medplum import client as client_module
from medbots.medplum import fhir, turn

_COUNT = 1000
"""Page size of a search that must be whole; more of one kind than this is an error."""

_BOT_FIELDS = "identifier,name,description,runtimeVersion,timeout,runAsUser,executableCode,meta"
"""Without `sourceCode`: the server signs a URL for each attachment it returns, which is slow."""


class ProjectServer:
    """Reads and writes the bots, subscriptions and their kin of one project."""

    def __init__(
        self,
        client: client_module.Client,
        namespace: str,
        *,
        project: state.Project | None = None,
    ) -> None:
        """Work in the login's project, or, as a super admin, in `project`."""
        self._client = client
        self._project = project or state.Project(client.project.id, client.project.name)
        self._names = fhir.Names(namespace)
        self._raw: dict[str, fhir.Json] = {}
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
        self._raw |= subscriptions | {one["id"]: fhir.whole(one) for one in found["Bot"]}
        self._raw |= {one["id"]: one for one in [*found["AccessPolicy"], *found["Device"]]}
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
        query = urlencode({**params, "_count": str(_COUNT), **self._held()})
        return client_module.BatchEntry("GET", f"{kind}?{query}")

    def _held(self) -> dict[str, str]:
        """Return what holds a super admin's search to this project, which may not be their own."""
        return {"_project": self._project.id} if self._client.rights.super_admin else {}

    async def add_features(self, features: tuple[str, ...]) -> str:
        """Add project features, keep the others; return the project's id.

        Raises:
            errors.NotAllowedError: the server ignored it, as it does for a project admin.
        """
        path = f"fhir/R4/Project/{self._project.id}"
        project = await self._client.get(path)
        both = list(dict.fromkeys([*(project.get("features") or ()), *features]))
        await self._patch(path, {"features": both}, project)
        written = await self._client.get(path)
        if not set(features) <= set(written.get("features") or ()):
            raise errors.NotAllowedError(
                f"the server ignored the change of {written.get('name', 'the project')!r}",
                hint="only a super admin of this server can enable project features",
            )
        return self._project.id

    async def write_secrets(self, values: Mapping[str, secret.Secret]) -> str:
        """Set these project secrets, keep the others; return the project's id.

        The list is replaced under a guard on the project's version, then read again.
        """
        path = f"fhir/R4/Project/{self._project.id}"
        project = await self._client.get(path)
        kept = [one for one in project.get("secret") or () if one["name"] not in values]
        added = [{"name": name, "valueString": one.reveal()} for name, one in values.items()]
        await self._patch(path, {"secret": kept + added}, project)
        written = fhir.live_project(await self._client.get(path), readable=True).secrets or {}
        lost = sorted(name for name in values if written.get(name) != values[name])
        if lost:
            raise errors.ServerError(
                f"the server did not keep the secrets {', '.join(lost)}",
                hint="log in as a project admin: medbots login",
            )
        return self._project.id

    async def write_policy(self, policy_id: str | None, spec: model.BotSpec) -> str:
        """Create or update the AccessPolicy of a bot; return its id."""
        live = self._raw.get(policy_id) if policy_id else None
        resource = fhir.policy(self._names, spec, plan.policy_name(spec), live)
        token = self._names.token("policy", spec.key)
        return await self._put(policy_id, resource, f"_tag={token}")

    async def write_device(self, device_id: str | None, spec: model.DeviceSpec) -> str:
        """Create or update the Device of a model alias; return its id."""
        token = self._names.token("device", spec.key)
        live = self._raw.get(device_id) if device_id else None
        resource = fhir.device(self._names, spec, live)
        return await self._put(device_id, resource, f"identifier={token}")

    async def create_bot(
        self, spec: model.BotSpec, bundle: model.Bundle, policy_id: str | None
    ) -> str:
        """Create a Bot together with its ProjectMembership; return the Bot's id.

        The endpoint that makes the membership drops identifier and time limit: they are written
        after it. Interrupted in between, the next run finds the bot by its name and adopts it.
        One that another run has made since the plan is left as it is.
        """
        binary = await self._client.upload(bundle.code, "index.js", "application/javascript")
        code = fhir.attachment(bundle, binary)
        body: fhir.Json = {
            "name": spec.name,
            "description": spec.description,
            "runtimeVersion": "vmcontext",
            "sourceCode": code,
            "executableCode": code,
        }
        if policy_id:
            body["accessPolicy"] = {"reference": f"AccessPolicy/{policy_id}"}
        ours = {
            "identifier": self._names.token("bot", spec.key),
            "_fields": "identifier",
            **self._held(),
        }
        async with turn.taken(self._client, self._names, spec.key):
            async for found in self._client.search("Bot", ours):
                return str(found["id"])
            created = await self._client.post(f"admin/projects/{self._project.id}/bot", body)
            members = fhir.bot_fields(self._names, spec, bundle, created, binary)
            await self._patch(f"fhir/R4/Bot/{created['id']}", members, created)
        return str(created["id"])

    async def update_bot(
        self, bot_id: str, spec: model.BotSpec, bundle: model.Bundle, *, upload: bool
    ) -> str:
        """Write the managed fields, and the code when `upload`; return the Bot's id.

        Raises:
            errors.ConflictError: the Bot was changed since it was read.
        """
        binary = None
        if upload:
            binary = await self._client.upload(bundle.code, "index.js", "application/javascript")
        live = self._raw[bot_id]
        members = fhir.bot_fields(self._names, spec, bundle, live, binary)
        await self._patch(f"fhir/R4/Bot/{bot_id}", members, live)
        return bot_id

    async def write_membership(
        self, bot_id: str, membership_id: str | None, policy_id: str | None
    ) -> str:
        """Make sure that the Bot has a membership with this policy; return its id."""
        policy = {"reference": f"AccessPolicy/{policy_id}"} if policy_id else None
        if membership_id is None:
            of_bot = {"profile": f"Bot/{bot_id}", **self._held()}
            live = await anext(self._client.search("ProjectMembership", of_bot), None)
            if live is None:
                return await self._create_membership(bot_id, policy)
            membership_id = str(live["id"])
            if fhir.reference_id(live.get("accessPolicy")) == policy_id:
                return membership_id
        if policy:
            path = f"fhir/R4/ProjectMembership/{membership_id}"
            await self._patch(path, {"accessPolicy": policy}, {})
        return membership_id

    async def _create_membership(self, bot_id: str, policy: fhir.Json | None) -> str:
        project = self._project.id
        bot = {"reference": f"Bot/{bot_id}"}
        resource: fhir.Json = {
            "resourceType": "ProjectMembership",
            "meta": {"project": project},
            "project": {"reference": f"Project/{project}"},
            "user": bot,
            "profile": bot,
        }
        if policy:
            resource["accessPolicy"] = policy
        created = await self._client.post("fhir/R4/ProjectMembership", resource)
        return str(created["id"])

    async def write_subscription(
        self, subscription_id: str | None, spec: model.SubscriptionSpec, bot_id: str
    ) -> str:
        """Create or update a Subscription that runs the Bot; return its id."""
        live = self._raw.get(subscription_id) if subscription_id else None
        resource = fhir.subscription(self._names, spec, bot_id, live)
        token = self._names.token("subscription", spec.key)
        return await self._put(subscription_id, resource, f"_tag={token}")

    async def _put(self, resource_id: str | None, resource: fhir.Json, if_none_exist: str) -> str:
        """Update by id, or create unless it is there already: safe to repeat."""
        kind = resource["resourceType"]
        if resource_id is None:
            created = await self._client.post(
                f"fhir/R4/{kind}", resource, if_none_exist=if_none_exist
            )
            return str(created["id"])
        version = resource.get("meta", {}).get("versionId")
        body = {**resource, "id": resource_id}
        await self._client.put(f"fhir/R4/{kind}/{resource_id}", body, if_match=version)
        return resource_id

    async def _patch(self, path: str, members: fhir.Json, live: fhir.Json) -> None:
        version = live.get("meta", {}).get("versionId")
        try:
            await self._client.patch(path, fhir.patch(members, version))
        except errors.ServerError as error:
            # The server answers a failed JSON Patch test with 400, not with 412.
            if version and "test failed" in error.message.lower():
                raise errors.ConflictError(
                    f"{path.removeprefix('fhir/R4/')} was changed by somebody else meanwhile",
                    hint="run the command again",
                ) from error
            raise


def _resources(result: client_module.BatchResult) -> list[fhir.Json]:
    bundle: Any = result.value()
    if any(link.get("relation") == "next" for link in bundle.get("link") or ()):
        raise errors.StateError(f"more than {_COUNT} resources of one kind carry our marker")
    entries: Iterable[Any] = bundle.get("entry") or ()
    return [one["resource"] for one in entries if "resource" in one]


def _escape(value: str) -> str:
    """Escape a value of a FHIR search, in which a comma means `or`."""
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("|", "\\|").replace("$", "\\$")
