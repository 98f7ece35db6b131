"""The Medplum server itself."""

from __future__ import annotations

import re

from medbots import check
from medbots.checks import family as family_module
from medbots.checks import target as target_module

_MAJOR = 5
"""The major version that medbots is written against and tested with."""

family = family_module.Family("medplum", "The Medplum server")


@family.define("medplum.reachable")
async def reachable(target: target_module.Target) -> check.Result:
    """The server answers and reaches its own services.

    Proves: `/healthcheck` answers, and its fields `postgres` and `redis` are both true. Its field
    `ok` is not looked at: it is true whatever happens.

    Fails: when nothing answers at `MEDPLUM_BASE_URL`, when something else than a Medplum server
    does, or when the server has lost its database or its Redis.

    Cure: start the server, correct `MEDPLUM_BASE_URL`, or look into the server's log for the
    service that is named.
    """
    health = await target.health()
    services = {"postgres": health.postgres, "redis": health.redis}
    observed = ", ".join(f"{name} {_word(state)}" for name, state in services.items())
    if all(services.values()):
        return check.passed(f"{target.settings.base_url}: {observed}")
    return check.failed(
        f"{target.settings.base_url}: {observed}",
        "postgres ok, redis ok",
        "look into the Medplum server's log, and start the service that it misses",
    )


def _word(state: bool | None) -> str:
    return "not reported" if state is None else "ok" if state else "lost"


@family.define("medplum.version", needs=("medplum.reachable",))
async def version(target: target_module.Target) -> check.Result:
    """The server is a release that medbots knows.

    Proves: the server calls itself 5.x. A later major version is a warning, since nobody has
    tried it.

    Fails: for versions before 5, and when the server names no version.

    Cure: update the server, or install the release of medbots that belongs to it.
    """
    said = (await target.health()).version
    found = re.match(r"v?(\d+)\.\d+", said)
    expected = f"{_MAJOR}.x"
    if not found:
        return check.failed(said or "no version", expected, "update the Medplum server")
    major = int(found.group(1))
    if major < _MAJOR:
        return check.failed(said, expected, f"update the Medplum server to {expected}")
    if major > _MAJOR:
        return check.warned(said, expected, "pip install --upgrade medbots")
    return check.passed(said, expected)
