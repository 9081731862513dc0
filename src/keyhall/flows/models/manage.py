"""Models: added with a version and a name that callers use, and removed (R8).

One transaction makes the model, its version and its alias, each with its row in the audit. A model
is an engine of its own, so names of models and engines are one set.
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.engines.aiming import ORIGIN, Aiming
from keyhall.flows.manage import versions
from keyhall.flows.manage.checks import Invalid, NotFound
from keyhall.flows.manage.engines import check_name
from keyhall.flows.models.house import COMES_WITH_KEYHALL, HOUSE
from keyhall.flows.models.versions import version_of
from keyhall.policy.catalogue import Catalogue, Version, needing
from keyhall.ports.records import Actor, Alias, ModelRecord
from keyhall.stores import catalogue, models
from keyhall.stores import notes as audit
from keyhall.stores.sql import SqlStore

SLOTS_MAX = 64  # llama.cpp stops at 256; long before, memory does
SLOT_CONTEXT_MIN = 256
THREADS_MAX = 512
NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Added:
    model: ModelRecord
    version: Version
    alias: Alias
    notes: list[str]  # what `v1` and `v1.1` mean now, where it made a difference


@dataclass(frozen=True, slots=True)
class Removed:
    model: ModelRecord
    retired: list[Version]
    aliases: list[str]  # that still mean one of those
    notes: list[str]  # what means something else now


async def add(
    store: SqlStore, model: ModelRecord, *, can_run: bool = True, actor: Actor, now_us: int
) -> Added:
    """Add a model, the next free version of it, and its name as an alias of that. It stands behind
    `v1` and `v1.1` too where nothing but the sandbox or the house model did, if it can run here."""
    check(model)
    async with store.writing() as connection:
        await _check_free(connection, model.name)
        known = await catalogue.load(connection)
        await models.add_model(connection, model)
        await audit.record(
            connection,
            actor,
            now_us,
            action="model.add",
            target=model.name,
            before=None,
            after=model,
            changed="engine",
        )
        first = version_of(model, now_us, _next_name(known, model.name))
        version = await catalogue.enter_version(connection, first, actor, now_us)
        alias, _ = await catalogue.aim(connection, model.name, version.name, actor, now_us)
        notes: list[str] = []
        if can_run:
            aiming = await _aiming(connection, actor, now_us, notes)
            await aiming.fall_back([model], engines=(versions.EMBEDDED, HOUSE))
        return Added(model, version, alias, notes)


async def _aiming(
    connection: AsyncConnection, actor: Actor, now_us: int, notes: list[str]
) -> Aiming:
    """The operator's act, whose consequence is not by hand."""
    known = await catalogue.load(connection)
    return Aiming(connection, known, Actor(actor.who, ORIGIN), now_us, notes)


def check(model: ModelRecord) -> None:
    """Raises Invalid for what makes no sense, whatever else there is."""
    check_name(model.name)
    if not 1 <= model.slots <= SLOTS_MAX:
        raise Invalid(f"{model.slots:,} slots make no sense: it is a number from 1 to {SLOTS_MAX}.")
    most = min(model.context or versions.TOKENS_MAX, versions.TOKENS_MAX)
    if not min(SLOT_CONTEXT_MIN, most) <= model.slot_context <= most:
        trained = f": the model was trained for {model.context:,}" if model.context else ""
        raise Invalid(
            f"A context of {model.slot_context:,} tokens is not in "
            f"{min(SLOT_CONTEXT_MIN, most):,}...{most:,}{trained}."
        )
    if model.threads is not None and not 1 <= model.threads <= THREADS_MAX:
        raise Invalid(f"{model.threads:,} threads make no sense: 1 to {THREADS_MAX}.")


async def check_free(store: SqlStore, name: str) -> None:
    """Whether a model may have this name: asked before a large file is read."""
    check_name(name)
    if name == HOUSE:
        raise Invalid(f"The model {HOUSE} {COMES_WITH_KEYHALL}. Choose another name with --name.")
    async with store.reading() as connection:
        await _check_free(connection, name)


async def _check_free(connection: AsyncConnection, name: str) -> None:
    if await catalogue.find_engine(connection, name) is not None:
        raise Invalid(f"There is an engine {name} already: choose another name with --name.")
    if await models.find_model(connection, name) is not None:
        raise Invalid(
            f"There is a model {name} already. `keyhall models remove {name}` first, or choose "
            "another name with --name."
        )
    known = await catalogue.load(connection)
    if name in known.versions:
        raise Invalid(f"{name} is a version's own name: choose another name with --name.")
    meant = known.find(name)
    if meant is not None and meant.engine != name:  # Else it is of a model that was removed.
        raise Invalid(f"{name} means {meant.name} already: choose another name with --name.")


def _next_name(known: Catalogue, name: str) -> str:
    number = 1
    while f"{name}-{number}" in known.versions or f"{name}-{number}" in known.aliases:
        number += 1
    return f"{name}-{number}"


async def find(
    store: SqlStore, name: str, now_us: int, own: ModelRecord | None = None
) -> tuple[ModelRecord, list[Version]]:
    """A model and the versions in use that need it. `own`: the house model, if it answers here."""
    async with store.reading() as connection:
        known = await catalogue.load(connection)
        is_own = own is not None and name == own.name
        found = await models.find_model(connection, name) if is_own else None
        found = found or (own if is_own else None) or await _found(connection, name)
        return found, needing(known, name, now_us)


async def _found(connection: AsyncConnection, name: str) -> ModelRecord:
    found = await models.find_model(connection, name)
    if found is None:
        raise NotFound(f"No model {name}. `keyhall models list` shows them.")
    return found


async def list_all(
    store: SqlStore, now_us: int, own: ModelRecord | None = None
) -> list[tuple[ModelRecord, list[Version]]]:
    """All models, by name, with the versions in use that need them; the house model last."""
    async with store.reading() as connection:
        known = await catalogue.load(connection)
        found = await models.list_models(connection)
    if own is not None and own.name not in [each.name for each in found]:
        found = [*found, own]
    return [(each, needing(known, each.name, now_us)) for each in found]


async def remove(
    store: SqlStore,
    name: str,
    *,
    use: str | None,
    actor: Actor,
    now_us: int,
    own: ModelRecord | None = None,
) -> Removed:
    """Remove a model that no version needs any more. With `use`, its versions are retired first,
    and callers told to use that. The file stays. `own` is the house model, if it can answer."""
    async with store.writing() as connection:
        if own is not None and name == own.name:
            raise Invalid(f"The model {name} {COMES_WITH_KEYHALL}.")
        model = await _found(connection, name)
        left = [each for each in await models.list_models(connection) if each.name != name]
        left += [own] if own is not None else []
        notes: list[str] = []
        aiming = await _aiming(connection, actor, now_us, notes)
        await aiming.fall_back(left, engines=(name,))
        known = await catalogue.load(connection)
        using = needing(known, name, now_us)
        if using and use is None:
            names = ", ".join(each.name for each in using[:NAMES_SHOWN])
            raise Invalid(
                f"{names} would have no engine: `keyhall models remove {name} --use VERSION` "
                "retires what needs it, and tells callers to use that VERSION instead."
            )
        if use is not None and known.find(use) in using:  # It would go with the model.
            raise Invalid(f"{use} would be gone too: with --use, name a version that stays.")
        retired = [
            await versions.retire_within(connection, each.name, use, actor, now_us)
            for each in using
        ]
        await models.remove_model(connection, name)
        await audit.record(
            connection,
            actor,
            now_us,
            action="model.remove",
            target=name,
            before=model,
            after=None,
            changed="engine",
        )
        gone = {each.name for each in retired}
        aliases = sorted(alias for alias, version in known.aliases.items() if version in gone)
        return Removed(model, retired, aliases, notes)
