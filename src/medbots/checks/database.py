"""The database that keeps the embeddings."""

from __future__ import annotations

from medbots import check, desired
from medbots.checks import family as family_module
from medbots.checks import target as target_module
from medbots.database import bot_url, extension, migrations, queries, roles
from medbots.database import connection as connection_module
from medbots.database import table as table_module

_INIT = "medbots db init"

family = family_module.Family("database", "The database of the embeddings")


@family.define("database.reachable")
async def reachable(target: target_module.Target) -> check.Result:
    """The database takes our connection.

    Proves: `MEDBOTS_DATABASE_URL` opens a connection from here.

    Fails: when the setting is missing, when nothing answers, or when user, password or database
    are refused.

    Cure: set or correct `MEDBOTS_DATABASE_URL`, or start the database.
    """
    info = (await target.database()).info
    return check.passed(f"{info.host}:{info.port}/{info.dbname} as {info.user}")


@family.define("database.pgvector", needs=("database.reachable",))
async def pgvector(target: target_module.Target) -> check.Result:
    """The extension pgvector is there, and new enough.

    Proves: the database has `vector`, in a version whose halfvec and iterative scans the bots
    use. One that works but should be replaced is a warning, with the reason.

    Fails: when it is missing or too old.

    Cure: `medbots db init`, which makes it where the server has it, and says what to do where
    it does not.
    """
    with connection_module.translated():
        found = await extension.find(await target.database())
    expected = f"{extension.dotted(extension.RECOMMENDED)} or later"
    if found is None:
        return check.failed("not in this database", expected, _INIT)
    if found.too_old:
        return check.failed(f"{found.version}, which is too old", expected, _INIT)
    if found.warning:
        return check.warned(found.warning, expected, "ALTER EXTENSION vector UPDATE")
    return check.passed(found.version, expected)


@family.define("database.schema", needs=("database.reachable", "database.pgvector"))
async def schema(target: target_module.Target) -> check.Result:
    """Every migration of this release has been applied.

    Proves: the history of migrations in the database is this release's, text by text, and the
    table of embeddings is the one they made.

    Fails: when migrations are pending, were applied from another text or by a later release, or
    when the table is the deployment guide's or somebody else's.

    Cure: `medbots db init`.
    """
    store = await target.store()
    expected = f"{len(migrations.packaged())} migrations applied"
    migrations.refuse_drift(migrations.packaged(), store.migrations)
    if store.pending:
        names = ", ".join(f"{one.version:04}_{one.name}" for one in store.pending)
        return check.failed(f"pending: {names}", expected, _INIT)
    if store.origin is not table_module.Origin.OURS:
        said = store.complaint or f"the table is {store.origin.value}'s"
        return check.failed(f"{table_module.NAME}: {said}", expected, _INIT)
    return check.passed(f"{len(store.migrations)} applied", expected)


@family.define("database.role", needs=("database.schema", "login.valid", "login.rights"))
async def role(target: target_module.Target) -> check.Result:
    """The bots' own database role may do what it must, and no more.

    Proves: this project's role exists, may log in, has no powers and is in no group, may read and
    write the tables of embeddings, is held to its project's rows, and the password in the
    project's secret `DATABASE_URL` opens it, as far as that can be tried from here.

    Fails: naming what is missing or too much.

    Cure: `medbots db init`, which mends all of it but the policies of others: those are named.
    """
    connection = await target.database()
    project = (await target.state()).project
    wanted = roles.of_project(project.id, connection.info.dbname)
    with connection_module.translated():
        tables = await roles.tables(connection)
    found = await queries.run(connection, "bot_role", wanted.name, list(tables), wanted.own_rows)
    lines = await found.fetchall()
    expected = f"{wanted.name}, with rights on {' and '.join(tables)} alone"
    if not lines:
        return check.failed("no such role", expected, _INIT)
    wrong = [one for line in lines for one in _complaints(*line)]
    if wrong:
        return check.failed("; ".join(dict.fromkeys(wrong)), expected, _INIT)
    with connection_module.translated():
        intruders = await roles.intruders(connection, wanted)
    if intruders:
        said = "another policy shows it rows of other projects"
        return check.failed(said, expected, "; ".join(intruders))
    url = (project.secrets or {}).get(desired.DATABASE_SECRET)
    password = bot_url.password_of(url, wanted)
    if password is None:
        return check.failed(f"secret {desired.DATABASE_SECRET} is not its", expected, _INIT)
    opens = await bot_url.opens(connection, wanted, password)
    if opens is False:
        return check.failed(
            f"the password in secret {desired.DATABASE_SECRET} is refused", expected, _INIT
        )
    tried = "its password opens" if opens else "its password cannot be tried from here"
    return check.passed(f"{wanted.name}; {tried}", expected)


def _complaints(
    may_log_in: bool,
    has_powers: bool,
    table: str,
    privileges: list[str],
    held: bool,
    groups: list[str],
) -> list[str]:
    """What is wrong with one line of the query, in words."""
    missing = sorted(roles.PRIVILEGES - set(privileges))
    surplus = sorted(set(privileges) - roles.PRIVILEGES)
    return [
        *([] if may_log_in else ["it may not log in"]),
        *(["it has powers over the server"] if has_powers else []),
        *([f"it is in {', '.join(groups)}"] if groups else []),
        *([f"it lacks {', '.join(missing)} on {table}"] if missing else []),
        *([f"it has {', '.join(surplus)} on {table}"] if surplus else []),
        *([] if held else [f"no policy holds it to its project's rows of {table}"]),
    ]
