"""`keyhall database`: what the database's schema is, and bringing it to this release's."""

from typing import Any

import click

from keyhall.cli.manage import show
from keyhall.cli.manage.open import Where, on_database, options
from keyhall.stores import migrate
from keyhall.stores.sql import SqlStore


@click.group()
def database() -> None:
    """Look at the database's schema, and bring it to this release's."""


@database.command()
@options
def status(as_json: bool, where: Where) -> None:
    """Show which database is used and whether its schema is this release's."""
    _told(on_database(where, _found), as_json)


@database.command()
@options
def upgrade(as_json: bool, where: Where) -> None:
    """Bring the schema to this release's. An empty database gets it too; repeating it is harmless.

    On PostgreSQL do this before the first server of a new release starts: servers of the release
    before it go on running meanwhile. A SQLite file is brought up to date by every command.
    """

    async def work(store: SqlStore) -> dict[str, Any]:
        before = await store.schema()
        if before != migrate.HEAD:
            await store.upgrade()
        return {**await _found(store), "was": before}

    _told(on_database(where, work), as_json)


async def _found(store: SqlStore) -> dict[str, Any]:
    schema = await store.schema()
    return {"database": store.place, "schema": schema, "wanted": migrate.HEAD, "state": _of(schema)}


def _of(schema: str | None) -> str:
    if schema is None:
        return "empty"
    if schema == migrate.HEAD:
        return "current"
    return "behind" if migrate.is_known(schema) else "ahead"


def _told(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        show.as_json(found)
        return
    schema, wanted = found["schema"], found["wanted"]
    said = {
        "empty": f"There is no schema yet; the first start makes {wanted}.",
        "current": f"Its schema is {schema}, which is this release's.",
        "behind": f"Its schema is {schema}, this release needs {wanted}: keyhall database upgrade",
        "ahead": f"Its schema is {schema}, which a later release made; this one knows {wanted}.",
    }[found["state"]]
    if "was" in found and found["was"] != schema:
        said = f"Its schema was {found['was'] or 'empty'} and is {schema} now."
    show.line(f"{found['database']}\n{said}")
