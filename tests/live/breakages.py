"""Ways to break a project that stands, each with what mends it again."""

from __future__ import annotations

from collections.abc import Callable

from psycopg import sql

from medbots.database import lock
from tests.live import medplum
from tests.live import stage as stage_module
from tests.live.stage import Stage

KEY = "embedding-condition"
"""The subscription that is broken."""
NOT_OURS = "exports.handler = async () => 'not ours';\n"

Break = Callable[[Stage], Callable[[], object]]
"""Breaks something and returns what mends it again."""


def deploy(stage: Stage) -> Callable[[], object]:
    """Return what mends all that `deploy` keeps."""
    return lambda: stage.medbots("deploy").expect()


def code(stage: Stage) -> Callable[[], object]:
    """Put other code into a bot."""
    path = f"fhir/R4/Bot/{stage.bot('embedding')['id']}/$deploy"
    medplum.expect(stage.clinic.admin.post(path, json={"code": NOT_OURS, "filename": "index.js"}))
    return deploy(stage)


def time_limit(stage: Stage) -> Callable[[], object]:
    """Change a bot's time limit."""
    stage.clinic.admin.update({**stage.bot("embedding"), "timeout": 1})
    return deploy(stage)


def identity(stage: Stage) -> Callable[[], object]:
    """Let the search run as itself, whose rights are another's."""
    stage.clinic.admin.update({**stage.bot("semantic-search"), "runAsUser": False})
    return deploy(stage)


def policy(stage: Stage) -> Callable[[], object]:
    """Widen a bot's policy."""
    query = f"AccessPolicy?_tag={stage.namespace}/policy|embedding"
    (found,) = stage.clinic.admin.find(query)
    stage.clinic.admin.update({**found, "resource": [{"resourceType": "*"}]})
    return deploy(stage)


def device(stage: Stage) -> Callable[[], object]:
    """Delete a Device."""
    (found,) = stage.clinic.admin.find(
        f"Device?identifier={stage.namespace}/device|embedding-model"
    )
    stage.clinic.admin.delete(f"fhir/R4/Device/{found['id']}")
    return deploy(stage)


def secret(stage: Stage) -> Callable[[], object]:
    """Take a secret away that a bot cannot do without."""
    path = f"admin/projects/{stage.clinic.id}/secrets"
    before = [{"name": name, "valueString": value} for name, value in stage.secrets().items()]
    kept = [each for each in before if each["name"] != "LLM_ROUTER_URL"]
    medplum.expect(stage.clinic.admin.post(path, json=kept))
    return deploy(stage)


def sync(stage: Stage) -> Callable[[], object]:
    """Return what mends all that `subscriptions sync` keeps."""
    return lambda: stage.medbots("subscriptions", "sync").expect()


def inactive(stage: Stage) -> Callable[[], object]:
    """Switch a Subscription off."""
    stage.clinic.admin.update({**stage.subscription(KEY), "status": "off"})
    return sync(stage)


def criteria(stage: Stage) -> Callable[[], object]:
    """Let a Subscription fire for something else."""
    stage.clinic.admin.update({**stage.subscription(KEY), "criteria": "Condition?category=x"})
    return sync(stage)


def endpoint(stage: Stage) -> Callable[[], object]:
    """Let a Subscription run another bot."""
    other = f"Bot/{stage.bot('semantic-search')['id']}"
    channel = {"type": "rest-hook", "endpoint": other}
    stage.clinic.admin.update({**stage.subscription(KEY), "channel": channel})
    return sync(stage)


def gone(stage: Stage) -> Callable[[], object]:
    """Delete a Subscription."""
    stage.clinic.admin.delete(f"fhir/R4/Subscription/{stage.subscription(KEY)['id']}")
    return sync(stage)


def twice(stage: Stage) -> Callable[[], object]:
    """Make a second equal Subscription with our tag."""
    first = stage.subscription(KEY)
    copy = {name: value for name, value in first.items() if name not in ("id", "meta")}
    tag = [each for each in first["meta"]["tag"] if each["system"].startswith("urn:medbots")]
    made = stage.clinic.admin.create({**copy, "meta": {"tag": tag}})
    return lambda: stage.clinic.admin.delete(f"fhir/R4/Subscription/{made['id']}")


def index(stage: Stage) -> Callable[[], object]:
    """Drop the vector index, and keep other projects' runs from building it meanwhile."""
    connection = stage.database()
    connection.execute("SELECT pg_advisory_lock(%s)", [lock._KEY])
    connection.execute("DROP INDEX clinical_embeddings_embedding_idx")

    def mend() -> None:
        connection.close()
        stage.medbots("db", "init").expect()

    return mend


def role(stage: Stage) -> Callable[[], object]:
    """Let the bots' role make roles."""
    with stage.database() as connection:
        name = stage_module.role_of(stage)
        connection.execute(sql.SQL("ALTER ROLE {} CREATEROLE").format(sql.Identifier(name)))
    return lambda: stage.medbots("db", "init").expect()
