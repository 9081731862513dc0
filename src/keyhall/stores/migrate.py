"""Bringing a database to this release's schema: Alembic, run from code, forward only.

A database that is up to date is told by one query and costs no import of Alembic. The whole
upgrade is one transaction, begun exclusively: two processes that start at once on an empty folder
or database make one schema. A SQLite file belongs to one server and is brought up to date when it
is opened; PostgreSQL is shared with servers that may be of the release before, so only an empty
database is, and else a person says when (`keyhall database upgrade`).
"""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0013"
MIGRATIONS = Path(__file__).parent / "migrations"


class NothingThere(Exception):
    """Nothing was ever kept in the database that was named; the words are its place."""


class SchemaUnfit(Exception):
    """This release cannot work on the database as it is; the words say what to do."""


class SchemaTooNew(SchemaUnfit):
    """The database was made by a later release."""


class SchemaBehind(SchemaUnfit):
    """The database was made by an earlier release and is shared: a person decides when it is
    brought up to date."""


async def current(connection: AsyncConnection) -> str | None:
    """The schema's revision; None for an empty database."""
    try:
        found: str | None = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    except (OperationalError, ProgrammingError) as error:
        if "alembic_version" in str(error.orig):
            return None
        raise
    return found


async def upgrade(connection: AsyncConnection) -> None:
    """Bring the schema to HEAD, in the caller's writing transaction."""
    await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    found = _revision(connection)
    if found is not None and not is_known(found):
        raise unfit(found)
    command.upgrade(config, "head")


def is_known(revision: str) -> bool:
    """Whether this release has the migrations that made that schema."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_config()).walk_revisions()
    return revision in {script.revision for script in scripts}


def unfit(revision: str) -> SchemaUnfit:
    """Why a database of that revision, which is not HEAD, is not used as it is."""
    if is_known(revision):
        return SchemaBehind(
            f"The database has schema {revision}; this release needs {HEAD}. Bring it up to date "
            "with `keyhall database upgrade`: servers of the release before this one go on "
            "running meanwhile."
        )
    return SchemaTooNew(
        f"The database has schema {revision}; this release knows up to {HEAD}. "
        "Start it with the release that made it, or a later one."
    )


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _revision(connection: Connection) -> str | None:
    from alembic.migration import MigrationContext

    return MigrationContext.configure(connection).get_current_revision()
