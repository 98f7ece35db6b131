"""FHIR JSON to the model and back: pure functions, one direction a function."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from medbots import model, secret, state
from medbots.plan import fields

Json = dict[str, Any]

_STRUCTURE = "https://medplum.com/fhir/StructureDefinition/"
INTERACTION_URL = _STRUCTURE + "subscription-supported-interaction"
FHIRPATH_URL = _STRUCTURE + "fhir-path-criteria-expression"


@dataclass(frozen=True, slots=True)
class Names:
    """The systems of the identifiers and tags that make a resource ours."""

    namespace: str

    def system(self, kind: str) -> str:
        """Return the system of one kind, such as `urn:medbots/bot`."""
        return f"{self.namespace}/{kind}"

    def token(self, kind: str, *keys: str) -> str:
        """Return a search value that finds any of `keys`."""
        return ",".join(f"{self.system(kind)}|{key}" for key in keys)

    def identified(self, resource: Json, kind: str) -> str | None:
        """Return the key in the resource's identifier, if it is ours."""
        return _value(resource.get("identifier"), self.system(kind), "value")

    def foreign(self, resource: Json, kind: str) -> bool:
        """Return whether the resource is identified as another namespace's of this kind."""
        systems = {str(one.get("system")) for one in resource.get("identifier") or ()}
        return any(one.endswith(f"/{kind}") for one in systems - {self.system(kind)})

    def tagged(self, resource: Json, kind: str) -> str | None:
        """Return the key in the resource's `meta.tag`, if it is ours."""
        return _value(resource.get("meta", {}).get("tag"), self.system(kind), "code")


_SIGNED = re.compile(r"/([0-9a-f-]{36})/([0-9a-f-]{36})$")


def _value(entries: Any, system: str, member: str) -> str | None:
    found = (one.get(member) for one in entries or () if one.get("system") == system)
    return next(found, None)


def with_entry(entries: Any, system: str, member: str, value: str) -> list[Json]:
    """Return identifiers or tags with the one of `system` set, the others kept."""
    others = [one for one in entries or () if one.get("system") != system]
    return [*others, {"system": system, member: value}]


def whole(resource: Json) -> Json:
    """Return a resource without the tag by which the server marks an answer to `_fields`."""
    meta = resource.get("meta", {})
    tags = [one for one in meta.get("tag") or () if one.get("code") != "SUBSETTED"]
    return resource | {"meta": {**meta, "tag": tags}}


def reference_id(reference: Any) -> str | None:
    """Return the id in `{"reference": "Type/id"}`."""
    text = (reference or {}).get("reference", "")
    return text.rpartition("/")[2] or None


def live_project(resource: Json, *, readable: bool) -> state.Project:
    """Read a Project; `readable`: whether this login sees its secrets."""
    values = {
        one["name"]: secret.Secret(str(one.get("valueString", "")))
        for one in resource.get("secret") or ()
    }
    return state.Project(
        resource["id"],
        resource.get("name", ""),
        frozenset(resource.get("features") or ()),
        values if readable else None,
    )


def live_bot(resource: Json, names: Names) -> state.LiveBot:
    """Read a Bot."""
    digest = names.tagged(resource, "digest")
    code = resource.get("executableCode") or {}
    uploaded = _value(resource.get("meta", {}).get("tag"), names.system("digest"), "display")
    runs = _signed_file(code.get("url", ""))
    return state.LiveBot(
        id=resource["id"],
        name=resource.get("name", ""),
        key=names.identified(resource, "bot"),
        foreign=names.foreign(resource, "bot"),
        description=resource.get("description", ""),
        runtime=resource.get("runtimeVersion", ""),
        timeout=resource.get("timeout"),
        run_as_user=bool(resource.get("runAsUser")),
        digest=f"sha256:{digest}" if digest else None,
        code_hash=code.get("hash"),
        code_moved=bool(uploaded and runs and uploaded != runs),
    )


def _signed_file(url: str) -> str | None:
    """Return the Binary that a signed URL leads to, as `id/version`; None: it is no such URL.

    The server signs anew at every read, and puts id and version at the end of the path.
    """
    found = _SIGNED.search(urlsplit(url).path)
    return f"{found[1]}/{found[2]}" if found else None


def live_membership(resource: Json) -> state.LiveMembership:
    """Read a Bot's ProjectMembership."""
    return state.LiveMembership(
        resource["id"],
        reference_id(resource.get("profile")) or "",
        reference_id(resource.get("accessPolicy")),
    )


def live_policy(resource: Json, key: str) -> state.LivePolicy:
    """Read an AccessPolicy of ours."""
    rules = tuple(resource.get("resource") or ())
    return state.LivePolicy(resource["id"], key, resource.get("name", ""), rules)


def live_device(resource: Json, key: str) -> state.LiveDevice:
    """Read a Device of ours."""
    names = resource.get("deviceName") or [{}]
    return state.LiveDevice(resource["id"], key, names[0].get("name", ""))


def live_subscription(resource: Json, names: Names) -> state.LiveSubscription:
    """Read a Subscription."""
    channel = resource.get("channel") or {}
    return state.LiveSubscription(
        id=resource["id"],
        key=names.tagged(resource, "subscription"),
        name=resource.get("reason", ""),
        criteria=resource.get("criteria", ""),
        endpoint=channel.get("endpoint", ""),
        status=resource.get("status", ""),
        channel=channel.get("type", ""),
        interaction=_extension(resource, INTERACTION_URL, "valueCode"),
        fhirpath=_extension(resource, FHIRPATH_URL, "valueString"),
    )


def _extension(resource: Json, url: str, member: str) -> str | None:
    found = (one.get(member) for one in resource.get("extension") or () if one.get("url") == url)
    return next(found, None)


def attachment(bundle: model.Bundle, file: str) -> Json:
    """Return the Attachment that links a Bot to its uploaded code, the Binary `id/version`."""
    return {
        "contentType": "application/javascript",
        "url": f"Binary/{file.partition('/')[0]}",
        "title": "index.js",
        "size": len(bundle.code),
        "hash": bundle.attachment_hash,
    }


def bot_fields(
    names: Names, spec: model.BotSpec, bundle: model.Bundle, live: Json, file: str | None
) -> Json:
    """Return the managed members of a Bot; identifiers and tags of others are kept.

    None: the member has to go, for the manifest gives none and FHIR knows no empty text.
    """
    tags = live.get("meta", {}).get("tag")
    written: Json = {
        "identifier": with_entry(live.get("identifier"), names.system("bot"), "value", spec.key),
        "name": spec.name,
        "runtimeVersion": fields.RUNTIME,
        "timeout": spec.timeout,
        "runAsUser": spec.run_as_user,
    }
    if spec.description or live.get("description"):
        written["description"] = spec.description or None
    if file is not None:
        code = attachment(bundle, file)
        digest = bundle.digest.removeprefix("sha256:")
        *others, ours = with_entry(tags, names.system("digest"), "code", digest)
        written |= {
            "sourceCode": code,
            "executableCode": code,
            "meta/tag": [*others, {**ours, "display": file}],
        }
    return written


def patch(members: Mapping[str, Any], version: str | None) -> list[Json]:
    """Return a JSON Patch that sets `members`, and fails when `version` is no longer current.

    A member that is None is removed: it must be there.
    """
    guard = [{"op": "test", "path": "/meta/versionId", "value": version}] if version else []
    return guard + [
        {"op": "remove", "path": f"/{path}"}
        if value is None
        else {"op": "add", "path": f"/{path}", "value": value}
        for path, value in members.items()
    ]


def policy(names: Names, spec: model.BotSpec, name: str, live: Json | None = None) -> Json:
    """Return the AccessPolicy of a bot's own membership; others' members of a live one are kept."""
    live = live or {"resourceType": "AccessPolicy"}
    meta = live.get("meta", {})
    tags = with_entry(meta.get("tag"), names.system("policy"), "code", spec.key)
    rules = [dict(rule) for rule in spec.policy]
    return live | {"meta": meta | {"tag": tags}, "name": name, "resource": rules}


def device(names: Names, spec: model.DeviceSpec, live: Json | None = None) -> Json:
    """Return the Device that authors what a model wrote; others' members are kept."""
    live = live or {"resourceType": "Device", "status": "active"}
    entries = live.get("identifier")
    return live | {
        "identifier": with_entry(entries, names.system("device"), "value", spec.key),
        "deviceName": [{"name": spec.name, "type": "model-name"}],
    }


def subscription(
    names: Names, spec: model.SubscriptionSpec, bot_id: str, live: Json | None = None
) -> Json:
    """Return a Subscription; what others added to a live one is kept."""
    live = live or {"resourceType": "Subscription"}
    meta = live.get("meta", {})
    tags = with_entry(meta.get("tag"), names.system("subscription"), "code", spec.key)
    extensions = [
        one
        for one in live.get("extension") or ()
        if one.get("url") not in (INTERACTION_URL, FHIRPATH_URL)
    ]
    if spec.interaction is not None:
        extensions.append({"url": INTERACTION_URL, "valueCode": spec.interaction.value})
    if spec.fhirpath is not None:
        extensions.append({"url": FHIRPATH_URL, "valueString": spec.fhirpath})
    written = live | {
        "meta": meta | {"tag": tags},
        "status": "active",
        "reason": spec.name,
        "criteria": spec.criteria,
        "channel": (live.get("channel") or {}) | {"type": "rest-hook", "endpoint": f"Bot/{bot_id}"},
        "extension": extensions,
    }
    if not extensions:
        del written["extension"]
    return written
