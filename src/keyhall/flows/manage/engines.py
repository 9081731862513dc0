"""Upstream engines: added and removed by the operator (R9)."""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.engines.upstream.address import AddressRefused, parse_address
from keyhall.flows.manage.checks import Invalid, NotFound, Refused
from keyhall.policy.catalogue import needing
from keyhall.ports.records import Actor, EngineRecord
from keyhall.stores import catalogue as rows
from keyhall.stores import models as model_rows
from keyhall.stores import notes
from keyhall.stores.sql import SqlStore

NAME_CHARACTERS_MAX = 40
# `sandbox` is embedded; the other two are the engine that the environment names.
RESERVED = ("sandbox", "openai", "upstream")

_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_ENV_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")


async def add(store: SqlStore, engine: EngineRecord, *, actor: Actor, now_us: int) -> EngineRecord:
    """Add an engine; returned with its address as it is understood."""
    check_name(engine.name)
    if engine.key_env is not None:
        _check_env(engine.key_env)
    try:
        engine = replace(engine, url=str(parse_address(engine.url)))
    except AddressRefused as error:
        raise Invalid(f"{engine.url}: {error}.") from None
    async with store.writing() as connection:
        if await rows.find_engine(connection, engine.name) is not None:
            raise Invalid(
                f"There is an engine {engine.name} already. `keyhall engines remove {engine.name}` "
                "first, or choose another name."
            )
        if await model_rows.find_model(connection, engine.name) is not None:
            raise Invalid(f"There is a model {engine.name} already; choose another name.")
        await rows.add_engine(connection, engine)
        await notes.record(
            connection,
            actor,
            now_us,
            action="engine.add",
            target=engine.name,
            before=None,
            after=engine,
            changed="engine",
        )
        return engine


async def remove(store: SqlStore, name: str, *, actor: Actor, now_us: int) -> EngineRecord:
    """Remove an engine that no version needs any more; retired ones do not."""
    if name == RESERVED[0]:
        raise Invalid(f"{name} is embedded and cannot be removed.")
    async with store.writing() as connection:
        engine = await rows.find_engine(connection, name)
        if engine is None:
            raise await _no_engine(connection, name, "removed")
        using = [each.name for each in needing(await rows.load(connection), name, now_us)]
        if using:
            raise Invalid(
                f"{', '.join(using[:5])} would have no engine: "
                "`keyhall versions retire` them first."
            )
        await rows.remove_engine(connection, name)
        await notes.record(
            connection,
            actor,
            now_us,
            action="engine.remove",
            target=name,
            before=engine,
            after=None,
            changed="engine",
        )
        return engine


async def _no_engine(connection: AsyncConnection, name: str, done: str) -> Refused:
    if await model_rows.find_model(connection, name) is None:
        return NotFound(f"No engine {name}. `keyhall engines list` shows them.")
    if done == "removed":
        return Invalid(f"{name} is a model: `keyhall models remove {name}`.")
    return Invalid(
        f"{name} is a model and cannot be {done}: `keyhall aliases fallback {name} VERSION` says "
        "who answers while it cannot."
    )


async def drain(store: SqlStore, name: str, *, actor: Actor, now_us: int) -> EngineRecord:
    """Send it no new requests until it is resumed: fallbacks answer, or callers are told to come
    again. What it has under way ends in peace."""
    return await _drained(store, name, now_us, "engine.drain", actor, now_us)


async def resume(store: SqlStore, name: str, *, actor: Actor, now_us: int) -> EngineRecord:
    return await _drained(store, name, None, "engine.resume", actor, now_us)


async def _drained(
    store: SqlStore, name: str, at_us: int | None, action: str, actor: Actor, now_us: int
) -> EngineRecord:
    if name in RESERVED:
        raise Invalid(f"{name} is not an engine that was added, and cannot be drained.")
    async with store.writing() as connection:
        before = await rows.find_engine(connection, name)
        if before is None:
            raise await _no_engine(connection, name, "drained")
        if (before.drained_at_us is None) == (at_us is None):
            return before
        after = replace(before, drained_at_us=at_us)
        await rows.set_drained(connection, name, at_us)
        await notes.record(
            connection,
            actor,
            now_us,
            action=action,
            target=name,
            before=before,
            after=after,
            changed="engine",
        )
        return after


def check_name(name: str) -> None:
    if name in RESERVED:
        raise Invalid(f"The name {name} is taken by Keyhall itself; choose another.")
    if not name or len(name) > NAME_CHARACTERS_MAX or not set(name) <= _NAME_CHARACTERS:
        raise Invalid(
            f"'{name}' cannot be an engine's name: at most {NAME_CHARACTERS_MAX} small letters, "
            "digits and hyphens."
        )


def _check_env(name: str) -> None:
    if name.startswith("sk-") or not name or not set(name) <= _ENV_CHARACTERS or name[0].isdigit():
        raise Invalid(
            "--key-env is the name of an environment variable, not a key: such as VLLM_KEY. "
            "The key itself is read from the server's environment and stored nowhere."
        )
