"""Takes a guard of the bots away, and gives it back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml
from psycopg import sql

from medbots import assets
from medbots.bundler import esbuild, tools
from tests.live import stage as stage_module
from tests.live.medplum import Json
from tests.live.safety_case import Guard
from tests.live.safety_scene import replace_code
from tests.live.stage import Stage

SQL = "sql/"
"""How the files of the queries begin in a guard's changes."""


@contextmanager
def without(stage: Stage, guard: Guard, bots: Mapping[str, Json], folder: Path) -> Iterator[None]:
    """Have the guard's bots run without it.

    Args:
        stage: where the bots are deployed.
        guard: what is taken away.
        bots: the deployed Bots by key.
        folder: takes the changed sources.
    """
    with ExitStack() as undo:
        for key, code in bundles(stage, guard, folder).items():
            undo.callback(replace_code(stage, str(bots[key]["id"]), code))
        if guard.policy:
            undo.callback(_loosen(stage, guard.policy))
        if guard.sql:
            _tell(stage, guard.sql["off"])
            undo.callback(_tell, stage, guard.sql["on"])
        yield


def bundles(stage: Stage, guard: Guard, folder: Path) -> dict[str, bytes]:
    """Return the guard's bots as they are without it, by key.

    Raises:
        AssertionError: a change does not fit exactly once.
    """
    if not guard.changes:
        return {}
    sources, queries = folder / "bots", folder / "queries"
    if not sources.exists():
        # A copy of its own, so that what is deployed stays what it was made of.
        shutil.copytree(stage.manifest.parent, sources, symlinks=True)
        shutil.copytree(assets.sql() / "queries", queries)
    before: dict[Path, str] = {}
    try:
        for change in guard.changes:
            name = change["file"]
            file = queries / Path(name).name if name.startswith(SQL) else sources / name
            text = file.read_text(encoding="utf-8")
            before.setdefault(file, text)
            fits = text.count(change["find"])
            assert fits == 1, f"{guard.name}: {change['find']!r} stands {fits} times in {name}"
            file.write_text(text.replace(change["find"], change["replace"]), encoding="utf-8")
        manifest = yaml.safe_load(stage.manifest.read_text(encoding="utf-8"))
        program = tools.esbuild(sources, os.environ)
        return {
            key: esbuild.build(
                program, sources, sources / manifest["bots"][key]["source"], queries, os.environ
            ).code
            for key in guard.bots
        }
    finally:
        for file, text in before.items():
            file.write_text(text, encoding="utf-8")


def _loosen(stage: Stage, wish: Json) -> Callable[[], object]:
    """Give a bot more rights than its policy does; return what takes them back."""
    admin = stage.clinic.admin
    (policy,) = admin.find(f"AccessPolicy?_tag={stage.namespace}/policy|{wish['bot']}")
    kept = [one for one in policy["resource"] if one["resourceType"] not in wish["rules"]]
    loose = [{"resourceType": name, "interaction": may} for name, may in wish["rules"].items()]
    admin.update({**policy, "resource": [*kept, *loose]})
    return lambda: admin.update(policy)


def _tell(stage: Stage, statement: str) -> None:
    """Run a statement as the owner of the database; `{role}` is the role of the project's bots."""
    role = sql.Identifier(stage_module.role_of(stage))
    with stage.database() as connection:
        connection.execute(sql.SQL(statement).format(role=role))
