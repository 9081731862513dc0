"""Versions, their prices, aliases and upstream engines: who answers for the name a caller sends.

A version row never changes but in its status, its dates and its replacement (R8). A price is a
row of its own and is never changed either: the newest one counts, and a request keeps the price
at which it was admitted.
"""

from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import RowMapping, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.policy.catalogue import Catalogue, Price, Sampling, Version
from keyhall.ports.records import Actor, Alias, EngineRecord
from keyhall.stores import notes
from keyhall.stores.tables import aliases, audit, engines, prices, versions

_NEWEST_PRICE = (
    select(prices.c.version_number, func.max(prices.c.number).label("number"))
    .group_by(prices.c.version_number)
    .subquery()
)
_QUERY = (
    select(versions, prices.c.input, prices.c.output)
    .join_from(
        versions, _NEWEST_PRICE, _NEWEST_PRICE.c.version_number == versions.c.number, isouter=True
    )
    .join(prices, prices.c.number == _NEWEST_PRICE.c.number, isouter=True)
    .order_by(versions.c.number)
)


def _version(row: RowMapping) -> Version:
    price = None if row["input"] is None else Price(row["input"], row["output"])
    return Version(
        number=row["number"],
        name=row["name"],
        engine=row["engine"],
        engine_model=row["engine_model"],
        created_at_us=row["created_at_us"],
        sampling=Sampling(
            row["temperature"],
            row["top_p"],
            row["frequency_penalty"],
            row["presence_penalty"],
            **_later(row["sampling"]),
        ),
        max_input_tokens=row["max_input_tokens"],
        max_output_tokens=row["max_output_tokens"],
        tokenizer=row["tokenizer"],
        count=row["count"],
        margin_percent=row["margin_percent"],
        margin_per_tool=row["margin_per_tool"],
        price=price,
        status=row["status"],
        deprecated_at_us=row["deprecated_at_us"],
        retires_at_us=row["retires_at_us"],
        replacement=row["replacement"],
        owned_by=row["owned_by"],
        on_disconnect=row["on_disconnect"],
        fingerprint=row["fingerprint"],
    )


def _later(stored: str | None) -> dict[str, Any]:
    """The settings that have no column of their own."""
    return msgspec.json.decode(stored, type=dict[str, int | float]) if stored else {}


async def load(connection: AsyncConnection) -> Catalogue:
    found = [_version(row) for row in (await connection.execute(_QUERY)).mappings()]
    names = await list_aliases(connection)
    return Catalogue(
        versions={version.name: version for version in found},
        aliases={alias.name: alias.version for alias in names},
        fallbacks={alias.name: alias.fallbacks for alias in names if alias.fallbacks},
    )


async def find_version(connection: AsyncConnection, name: str) -> Version | None:
    """The version of that name; aliases are not looked at."""
    query = _QUERY.where(versions.c.name == name)
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else _version(row)


async def add_version(connection: AsyncConnection, version: Version) -> Version:
    """Store a new record, and its price if it has one; returned with the number it got."""
    later = version.sampling.later()
    stored = await connection.execute(
        insert(versions).values(
            name=version.name,
            engine=version.engine,
            engine_model=version.engine_model,
            created_at_us=version.created_at_us,
            temperature=version.sampling.temperature,
            top_p=version.sampling.top_p,
            frequency_penalty=version.sampling.frequency_penalty,
            presence_penalty=version.sampling.presence_penalty,
            sampling=msgspec.json.encode(later).decode() if later else None,
            max_input_tokens=version.max_input_tokens,
            max_output_tokens=version.max_output_tokens,
            tokenizer=version.tokenizer,
            count=version.count,
            margin_percent=version.margin_percent,
            margin_per_tool=version.margin_per_tool,
            owned_by=version.owned_by,
            fingerprint=version.fingerprint,
            on_disconnect=version.on_disconnect,
            **_standing(version),
        )
    )
    assert stored.inserted_primary_key is not None
    numbered = replace(version, number=stored.inserted_primary_key[0])
    if version.price is not None:
        await add_price(connection, numbered.number, version.price, version.created_at_us)
    return numbered


async def enter_version(
    connection: AsyncConnection, version: Version, actor: Actor, now_us: int
) -> Version:
    """Add a version and say so in the audit."""
    stored = await add_version(connection, version)
    await notes.record(
        connection,
        actor,
        now_us,
        action="version.add",
        target=stored.name,
        before=None,
        after=stored,
        changed="catalogue",
    )
    return stored


def _standing(version: Version) -> dict[str, Any]:
    return {
        "status": version.status,
        "deprecated_at_us": version.deprecated_at_us,
        "retires_at_us": version.retires_at_us,
        "replacement": version.replacement,
    }


async def replace_standing(connection: AsyncConnection, version: Version) -> None:
    """Store a version's new status, dates and replacement: all that may change."""
    await connection.execute(
        update(versions).where(versions.c.number == version.number).values(**_standing(version))
    )


async def add_price(
    connection: AsyncConnection, version_number: int, price: Price, since_us: int
) -> None:
    await connection.execute(
        insert(prices).values(
            version_number=version_number,
            since_us=since_us,
            input=price.input,
            output=price.output,
        )
    )


async def list_aliases(connection: AsyncConnection) -> list[Alias]:
    rows = await connection.execute(select(aliases).order_by(aliases.c.name))
    return [_alias(row) for row in rows.mappings()]


def _alias(row: RowMapping) -> Alias:
    names = msgspec.json.decode(row["fallbacks"], type=tuple[str, ...]) if row["fallbacks"] else ()
    return Alias(row["name"], row["version"], row["moved_at_us"], names)


async def find_alias(connection: AsyncConnection, name: str) -> Alias | None:
    query = select(aliases).where(aliases.c.name == name)
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else _alias(row)


async def put_alias(connection: AsyncConnection, alias: Alias) -> None:
    """Make an alias, or move it."""
    moved = await connection.execute(
        update(aliases)
        .where(aliases.c.name == alias.name)
        .values(version=alias.version, moved_at_us=alias.moved_at_us)
    )
    if moved.rowcount == 0:
        await connection.execute(
            insert(aliases).values(
                name=alias.name, version=alias.version, moved_at_us=alias.moved_at_us
            )
        )


async def aim(
    connection: AsyncConnection, name: str, version: str, actor: Actor, now_us: int
) -> tuple[Alias, Alias | None]:
    """Make an alias mean a version and say so in the audit. Returns what it means now, and what it
    meant before."""
    before = await find_alias(connection, name)
    if before is not None and before.version == version:
        return before, before
    after = Alias(name, version, now_us, before.fallbacks if before else ())
    await put_alias(connection, after)
    await notes.record(
        connection,
        actor,
        now_us,
        action="alias.move",
        target=name,
        before=before,
        after=after,
        changed="catalogue",
    )
    return after, before


async def replace_fallbacks(
    connection: AsyncConnection, before: Alias, after: Alias, actor: Actor, now_us: int
) -> None:
    """Store who answers instead, and say so in the audit."""
    names = msgspec.json.encode(after.fallbacks).decode() if after.fallbacks else None
    await connection.execute(
        update(aliases).where(aliases.c.name == after.name).values(fallbacks=names)
    )
    await notes.record(
        connection,
        actor,
        now_us,
        action="alias.fallback",
        target=after.name,
        before=before,
        after=after,
        changed="catalogue",
    )


async def alias_moved_from(connection: AsyncConnection, name: str) -> str | None:
    """Where the last step that moved an alias came from: the origin of its actor."""
    query = (
        select(audit.c.origin)
        .where(audit.c.action == "alias.move", audit.c.target == name)
        .order_by(audit.c.number.desc())
        .limit(1)
    )
    return await connection.scalar(query)


async def list_engines(connection: AsyncConnection) -> list[EngineRecord]:
    rows = await connection.execute(select(engines).order_by(engines.c.name))
    return [EngineRecord(**row) for row in rows.mappings()]


async def find_engine(connection: AsyncConnection, name: str) -> EngineRecord | None:
    query = select(engines).where(engines.c.name == name)
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else EngineRecord(**row)


async def add_engine(connection: AsyncConnection, engine: EngineRecord) -> None:
    await connection.execute(
        insert(engines).values(
            name=engine.name,
            url=engine.url,
            key_env=engine.key_env,
            created_at_us=engine.created_at_us,
        )
    )


async def remove_engine(connection: AsyncConnection, name: str) -> None:
    await connection.execute(delete(engines).where(engines.c.name == name))


async def set_drained(connection: AsyncConnection, name: str, at_us: int | None) -> None:
    changed = update(engines).where(engines.c.name == name)
    await connection.execute(changed.values(drained_at_us=at_us))
