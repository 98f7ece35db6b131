"""The table for vectors of another length: whoever may not see the one in use sees no other."""

from __future__ import annotations

from medbots.database import connection, generations, readers, roles
from tests.support import postgres as support
from tests.support import store

_RIGHTS = """
SELECT a.grantee::regrole::text, a.privilege_type, '' FROM pg_class c, aclexplode(c.relacl) a
WHERE c.oid = to_regclass(%s) AND a.grantee <> c.relowner
UNION ALL
SELECT a.grantee::regrole::text, a.privilege_type, t.attname
FROM pg_attribute t, aclexplode(t.attacl) a
WHERE t.attrelid = to_regclass(%s)
"""


async def _rights(connected: connection.Connection, table: str) -> set[tuple[str, ...]]:
    cursor = await connected.execute(_RIGHTS.encode(), [table, table])
    return {tuple(row) async for row in cursor}


async def test_rights(postgres: support.Database) -> None:
    """The new table has the rights of the one in use, and none that new tables have by default."""
    await store.initialised(postgres.url)
    async with store.connected(postgres.url) as connected:
        visitor = f"visitor_{postgres.name}"
        await connected.execute(f"CREATE ROLE {visitor}".encode())
        given = "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO"
        await connected.execute(f"{given} {visitor}, PUBLIC".encode())
        await generations.make_next(connected, 8)
        rights = await _rights(connected, generations.CURRENT)
        assert await _rights(connected, generations.NEXT) == rights
        bot = roles.of_project(store.PROJECT, postgres.name).name
        reader = readers.of_project(store.PROJECT, postgres.name).name
        assert {name for name, *_ in rights} == {bot, reader}
