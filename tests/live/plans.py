"""What a plan's JSON says, and what stands on the server after it."""

from __future__ import annotations

from tests.live.medplum import Json
from tests.live.stage import Stage

BOTS = ("embedding", "semantic-search")
CHANGES = 2
"""Exit code of --detailed-exitcode when there is something to do."""
ACTIONS = {"create", "update", "adopt", "delete", "unchanged"}
KINDS = {"bot", "membership", "device", "subscription", "secret", "feature", "policy"}


def check_shape(document: Json, *, dry_run: bool) -> None:
    """Assert the contract's JSON of a plan, to which more may be added."""
    assert set(document) >= {
        "project",
        "dryRun",
        "changes",
        "summary",
        "requests",
        "durationMs",
    }
    assert set(document["project"]) >= {"id", "name"}
    assert document["dryRun"] is dry_run
    assert set(document["summary"]) >= {*ACTIONS, "failed"}
    statuses = {"planned", "skipped"} if dry_run else {"done", "failed", "skipped"}
    for change in document["changes"]:
        wanted = {"kind", "key", "name", "action", "id", "fields", "digest", "status"}
        assert wanted <= set(change)
        assert change["kind"] in KINDS
        assert change["action"] in ACTIONS
        assert change["status"] in statuses
    counts = [each["action"] for each in document["changes"] if each["status"] != "skipped"]
    for action in ACTIONS:
        counted = counts.count(action)
        assert document["summary"][action] == counted
    assert isinstance(document["requests"], int)
    assert isinstance(document["durationMs"], int)


def change_of(document: Json, kind: str, key: str) -> Json:
    """Return a change of a plan; there must be one."""
    changes: list[Json] = document["changes"]
    (found,) = (each for each in changes if (each["kind"], each["key"]) == (kind, key))
    return found


def to_do(document: Json) -> list[tuple[str, str, str]]:
    """Return what a plan would do, or did."""
    return [
        (each["kind"], each["key"], each["action"])
        for each in document["changes"]
        if each["action"] != "unchanged" and each["status"] != "skipped"
    ]


def versions(stage: Stage) -> dict[str, str]:
    """Return the version of everything that medbots may have written in the project."""
    admin, space = stage.clinic.admin, stage.namespace
    bots = [stage.bot(key) for key in BOTS]
    profiles = ",".join(f"Bot/{each['id']}" for each in bots)
    found = [
        *bots,
        *admin.find(f"ProjectMembership?profile={profiles}"),
        *admin.find(f"Subscription?url={profiles}&_count=100"),
        *admin.find(f"AccessPolicy?_tag={space}/policy|"),
        *admin.find(f"Device?identifier={space}/device|"),
        admin.read(f"Project/{stage.clinic.id}"),
    ]
    return {f"{each['resourceType']}/{each['id']}": each["meta"]["versionId"] for each in found}


def code_of(stage: Stage, key: str) -> bytes:
    """Return the code that runs."""
    url = stage.bot(key)["executableCode"]["url"]
    return bytes(stage.clinic.admin.get(url).content)


def ours(stage: Stage, key: str) -> bytes:
    """Return the code that is here."""
    return (stage.manifest.parent / "dist" / f"{key}.js").read_bytes()


def manifest_name(stage: Stage, key: str) -> str:
    """Return a bot's name in the manifest of the stage."""
    mark = stage.namespace.rpartition(":")[2]
    names = {"embedding": "Embedding Bot", "semantic-search": "Semantic Search Bot"}
    return f"{names[key]} {mark}"
