"""Bringing a database to this release's schema: Alembic, run from code, forward only.

A database that is up to date is told by one query and costs no import of Alembic. The whole
upgrade is one transaction, begun exclusively: two processes that start at once on an empty folder
make one schema.
"""

from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

HEAD = "0003"
MIGRATIONS = Path(__file__).parent / "migrations"


class SchemaTooNew(Exception):
    """The database was made by a later release."""


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
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    found = _revision(connection)
    if found is not None and found not in known:
        raise SchemaTooNew(
            f"The database has schema {found}; this release knows up to {HEAD}. "
            "Start it with the release that made it, or a later one."
        )
    command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    from alembic.migration import MigrationContext

    return MigrationContext.configure(connection).get_current_revision()
