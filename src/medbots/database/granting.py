"""A role that `db init` makes: what it is, may do and sees, brought to what it should be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

import psycopg
from psycopg import sql

from medbots import errors
from medbots.database import connection as connection_module
from medbots.database import table_lock

_ATTRIBUTES = {
    # What a role has by default, and ours must not; only a superuser may name the first three.
    "rolsuper": (False, "NOSUPERUSER"),
    "rolreplication": (False, "NOREPLICATION"),
    "rolbypassrls": (False, "NOBYPASSRLS"),
    "rolcreaterole": (False, "NOCREATEROLE"),
    "rolcreatedb": (False, "NOCREATEDB"),
}


@dataclass(frozen=True, slots=True)
class Grantee:
    """A role, on the connection of whoever makes and mends it.

    Its methods return what they did, nothing where all was well, and raise
    `errors.NotAllowedError` where this login may not do it.
    """

    connection: connection_module.Connection
    name: str

    async def ensure(
        self, created: str, mended: Callable[[], Awaitable[list[str]]]
    ) -> tuple[str, ...]:
        """Await `mended` in one transaction, again where a lock is not had at once.

        Args:
            created: what `mended` returns first where it made the role; then all that is told.
            mended: makes the role, or mends what differs.
        """

        async def ensured(lock_timeout: str) -> list[str]:
            # A policy locks its table.
            async with table_lock.transaction(self.connection, lock_timeout):
                return await mended()

        with connection_module.translated(doing=f"role {self.name}"):
            done = await table_lock.briefly(ensured)
        return (created,) if done[:1] == [created] else tuple(done)

    async def mend(self, attributes: Mapping[str, tuple[bool, str]]) -> list[str] | None:
        """Set the attributes that differ, and take the role out of every group.

        Args:
            attributes: columns of pg_roles, what they should be, and the word for it; besides
                those that no role of ours has.

        Returns:
            What was done; None where there is no such role.
        """
        wanted = {**_ATTRIBUTES, **attributes}
        cursor = await self.connection.execute(
            f"SELECT {', '.join(wanted)} FROM pg_roles WHERE rolname = %s".encode(),  # noqa: S608
            [self.name],
        )
        row = await cursor.fetchone()
        if row is None:
            return None
        wrong = [
            word
            for (value, word), actual in zip(wanted.values(), row, strict=True)
            if value is not actual
        ]
        if wrong:
            await self.run(f"ALTER ROLE {{}} {' '.join(wrong)}")
        groups = await self._groups()
        for group in groups:
            await self.run("REVOKE {1} FROM {0}", sql.SQL(group))
        return [f"set {word}" for word in wrong] + [f"left {group}" for group in groups]

    async def enter(self, schema: str) -> list[str]:
        """Let the role use a schema, given quoted where it needs it."""
        cursor = await self.connection.execute(
            "SELECT has_schema_privilege(%s, %s::regnamespace, 'USAGE')", [self.name, schema]
        )
        if await cursor.fetchone() == (True,):
            return []
        await self.run("GRANT USAGE ON SCHEMA {1} TO {0}", sql.SQL(schema))
        return [f"granted USAGE on schema {schema}"]

    async def grant(self, on: str, privileges: Collection[str]) -> list[str]:
        """Give the role these rights on a whole table, and no others."""
        if await self.granted(on) == {(one, False) for one in privileges}:
            return []
        listed = ", ".join(sorted(privileges))
        await self.run("REVOKE ALL ON {1} FROM {0}", sql.SQL(on))
        await self.run(f"GRANT {listed} ON {{1}} TO {{0}}", sql.SQL(on))
        return [f"granted {listed} on {on}"]

    async def limit(self, on: str, rows: str, *, reading: bool = False) -> list[str]:
        """Let the role see some rows of a table, by a policy of its own name.

        Args:
            on: the table.
            rows: the condition, as Postgres writes it.
            reading: whether it only reads; else it writes such rows too.
        """
        cursor = await self.connection.execute(
            "SELECT polcmd::text, polpermissive, polroles = ARRAY[%s::regrole::oid], "
            "pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid) "
            "FROM pg_policy WHERE polrelid = %s::regclass AND polname = %s",
            [self.name, on, self.name],
        )
        row = await cursor.fetchone()
        if row == (("r", True, True, rows, None) if reading else ("*", True, True, rows, rows)):
            return []
        if row is not None:
            await self.run("DROP POLICY {0} ON {1}", sql.SQL(on))
        what = "FOR SELECT TO {0} USING {2}" if reading else "TO {0} USING {2} WITH CHECK {2}"
        await self.run(f"CREATE POLICY {{0}} ON {{1}} {what}", sql.SQL(on), sql.SQL(rows))
        return [f"limited {on} to rows of the project"]

    async def granted(self, on: str) -> set[tuple[str, bool]]:
        """Return the role's own rights on a whole table, each with whether it may pass it on."""
        cursor = await self.connection.execute(
            "SELECT a.privilege_type, a.is_grantable FROM pg_class c, aclexplode(c.relacl) a "
            "WHERE c.oid = %s::regclass AND a.grantee = %s::regrole",
            [on, self.name],
        )
        return {(privilege, grantable) async for privilege, grantable in cursor}

    async def run(self, statement: str, *parts: sql.Composable) -> None:
        """Execute a statement about the role; `{}` or `{0}` is its name, the rest are `parts`.

        Raises:
            errors.NotAllowedError: this login may not do it. The hint is who may.
        """
        composed = sql.SQL(statement).format(sql.Identifier(self.name), *parts)
        try:
            await self.connection.execute(composed)
        except psycopg.errors.InsufficientPrivilege as error:
            said = (error.diag.message_primary or "").strip()
            raise errors.NotAllowedError(
                f"role {self.name}: {said}",
                hint="only a superuser, or the login that made the role, may change it: set "
                f"{connection_module.SETTING} to that login",
            ) from error

    async def _groups(self) -> list[str]:
        """Return the roles that it is a member of, quoted where they need it."""
        cursor = await self.connection.execute(
            "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = %s::regrole",
            [self.name],
        )
        return [group async for (group,) in cursor]
