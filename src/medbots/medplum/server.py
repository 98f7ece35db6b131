"""The `state.Server` port on a real Medplum: one project, through one logged-in client."""

from __future__ import annotations

from collections.abc import Mapping

from medbots import errors, model, plan, secret, state
from medbots.medplum import client as client_module
from medbots.medplum import fhir, reading, turn


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
        self._reader = reading.Reader(client, self._names, self._project)

    async def read(self, desired: model.Desired) -> state.ServerState:
        """Return what the project holds of `desired`, in two requests at the most.

        Raises:
            errors.MedbotsError: the server cannot be reached, or refuses.
        """
        return await self._reader.read(desired)

    async def subscriptions(self) -> list[tuple[state.LiveSubscription, str]]:
        """Return every Subscription of the project that runs a Bot, with the bot's key."""
        return await self._reader.subscriptions()

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

        The list is replaced under a guard on the project's version, made anew where somebody else
        was faster, then read again.

        Raises:
            errors.ConflictError: somebody else was faster each time.
            errors.ServerError: the server answered 200 and did not keep them.
        """
        path = f"fhir/R4/Project/{self._project.id}"
        added = [{"name": name, "valueString": one.reveal()} for name, one in values.items()]
        for last in (False, False, True):
            project = await self._client.get(path)
            kept = [one for one in project.get("secret") or () if one["name"] not in values]
            try:
                await self._patch(path, {"secret": kept + added}, project)
            except errors.ConflictError:
                if last:
                    raise
            else:
                break
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
        live = self._reader.raw.get(policy_id) if policy_id else None
        resource = fhir.policy(self._names, spec, plan.policy_name(spec), live)
        token = self._names.token("policy", spec.key)
        return await self._put(policy_id, resource, f"_tag={token}")

    async def write_device(self, device_id: str | None, spec: model.DeviceSpec) -> str:
        """Create or update the Device of a model alias; return its id."""
        token = self._names.token("device", spec.key)
        live = self._reader.raw.get(device_id) if device_id else None
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
            **self._reader.held(),
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
        live = self._reader.raw[bot_id]
        members = fhir.bot_fields(self._names, spec, bundle, live, binary)
        await self._patch(f"fhir/R4/Bot/{bot_id}", members, live)
        return bot_id

    async def write_membership(
        self, bot_id: str, membership_id: str | None, policy_id: str | None
    ) -> str:
        """Make sure that the Bot has a membership with this policy; return its id."""
        policy = {"reference": f"AccessPolicy/{policy_id}"} if policy_id else None
        if membership_id is None:
            of_bot = {"profile": f"Bot/{bot_id}", **self._reader.held()}
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
        live = self._reader.raw.get(subscription_id) if subscription_id else None
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
