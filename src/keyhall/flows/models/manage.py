"""Models: added with a version and a name that callers use, and removed (R8).

One transaction makes the model, its version and its alias, each with its row in the audit. A model
is an engine of its own, so names of models and engines are one set.
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.manage import versions
from keyhall.flows.manage.checks import Invalid, NotFound
from keyhall.flows.manage.engines import check_name
from keyhall.policy.catalogue import ENGINE_COUNTS, Catalogue, Price, Version, needing
from keyhall.ports.records import Actor, Alias, ModelRecord
from keyhall.stores import catalogue, models, notes
from keyhall.stores.sql import SqlStore

SLOTS_MAX = 64  # llama.cpp stops at 256; long before, memory does
SLOT_CONTEXT_MIN = 256
THREADS_MAX = 512
TOKENS = 4096  # in and out, of what is no model in a file
NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Added:
    model: ModelRecord
    version: Version
    alias: Alias


@dataclass(frozen=True, slots=True)
class Removed:
    model: ModelRecord
    retired: list[Version]
    aliases: list[str]  # that still mean one of those


async def add(store: SqlStore, model: ModelRecord, *, actor: Actor, now_us: int) -> Added:
    """Add a model, the next free version of it, and its name as an alias of that."""
    check(model)
    async with store.writing() as connection:
        await _check_free(connection, model.name)
        known = await catalogue.load(connection)
        await models.add_model(connection, model)
        await notes.record(
            connection,
            actor,
            now_us,
            action="model.add",
            target=model.name,
            before=None,
            after=model,
            changed="engine",
        )
        first = version_of(model, _next_name(known, model.name), now_us)
        version = await catalogue.enter_version(connection, first, actor, now_us)
        alias, _ = await catalogue.aim(connection, model.name, version.name, actor, now_us)
        return Added(model, version, alias)


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


def most_tokens(
    model: ModelRecord | None, tokens_in: int | None, tokens_out: int | None
) -> tuple[int, int]:
    """The most tokens in and out of a version for which nothing or one of them was said. Of a
    slot's tokens three quarters may be prompt and a quarter answer, so that both fit whatever is
    sent."""
    if model is None:
        return tokens_in or TOKENS, tokens_out or TOKENS
    if tokens_in is None:
        tokens_in = model.slot_context - (tokens_out or max(1, model.slot_context // 4))
    return max(1, tokens_in), tokens_out or max(1, model.slot_context - tokens_in)


def version_of(model: ModelRecord, name: str, now_us: int) -> Version:
    """A version that answers as the model does by itself."""
    tokens_in, tokens_out = most_tokens(model, None, None)
    return Version(
        number=0,
        name=name,
        engine=model.name,
        engine_model=model.name,
        created_at_us=now_us,
        max_input_tokens=tokens_in,
        max_output_tokens=tokens_out,
        tokenizer=ENGINE_COUNTS,
        count="exact",
        price=Price(0, 0),  # It is the operator's own machine that pays.
    )


async def find(store: SqlStore, name: str, now_us: int) -> tuple[ModelRecord, list[Version]]:
    """A model and the versions in use that need it."""
    async with store.reading() as connection:
        known = await catalogue.load(connection)
        return await _found(connection, name), needing(known, name, now_us)


async def _found(connection: AsyncConnection, name: str) -> ModelRecord:
    found = await models.find_model(connection, name)
    if found is None:
        raise NotFound(f"No model {name}. `keyhall models list` shows them.")
    return found


async def list_all(store: SqlStore, now_us: int) -> list[tuple[ModelRecord, list[Version]]]:
    """All models, by name, with the versions in use that need them."""
    async with store.reading() as connection:
        known = await catalogue.load(connection)
        found = await models.list_models(connection)
    return [(each, needing(known, each.name, now_us)) for each in found]


async def remove(
    store: SqlStore, name: str, *, use: str | None, actor: Actor, now_us: int
) -> Removed:
    """Remove a model that no version needs any more. With `use`, its versions are retired first,
    and callers told to use that. The file stays."""
    async with store.writing() as connection:
        model = await _found(connection, name)
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
        await notes.record(
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
        return Removed(model, retired, aliases)
