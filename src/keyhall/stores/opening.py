"""Which database is meant: PostgreSQL by its address, else the SQLite file of the data folder."""

from pathlib import Path

from keyhall.stores import sqlite
from keyhall.stores.migrate import NothingThere
from keyhall.stores.sql import SqlStore

FILE = "keyhall.db"


async def open_database(
    url: str,
    folder: Path,
    *,
    makes: bool = True,
    as_it_is: bool = False,
    damage_seconds: float | None = None,
) -> SqlStore:
    """The store that the settings name; an empty `url` means the folder's file.

    Without `makes` a database is not made: NothingThere. With `as_it_is` its schema is neither
    checked nor changed. A file is looked through for damage, `damage_seconds` long at most, unless
    they are None. Raises StoreAway with a sentence, SchemaUnfit.
    """
    if url:
        from keyhall.stores.postgres.store import open_store  # Its driver only for who uses it.

        return await open_store(url, makes=makes, as_it_is=as_it_is)
    is_there = (folder / FILE).exists()
    if not makes and not is_there:
        raise NothingThere(str(folder))
    if is_there and damage_seconds is not None:
        await sqlite.refuse_damaged(folder / FILE, damage_seconds)
    return await sqlite.open_store(folder / FILE, as_it_is=as_it_is)
