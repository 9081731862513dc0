"""Versions and aliases: records that never change, and names that move (R8).

A record's answer-changing facts are fixed when it is made. Afterwards it may be deprecated, be
given a day on which it retires, be retired, and be given another price, which is a record of its
own and holds for requests admitted from then on.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.manage import checks
from keyhall.flows.manage.checks import Invalid, NotFound
from keyhall.flows.models.versions import called
from keyhall.policy.catalogue import ENGINE_COUNTS, SETTINGS, Price, Version, status_at
from keyhall.policy.keys import ALPHABET
from keyhall.ports.records import Actor, Alias, ModelRecord
from keyhall.stores import catalogue as rows
from keyhall.stores import models as model_rows
from keyhall.stores import notes
from keyhall.stores.sql import SqlStore

TOKENS_MAX = 10_000_000
FALLBACKS_MAX = 8  # of an alias: a request looks at each while its engine is away
PRICE_MAX = 10**12  # a million of the currency per million tokens
EMBEDDED = "sandbox"

_CHARACTERS = frozenset(ALPHABET + "._:/-@+")


async def _version_by(connection: AsyncConnection, wanted: str) -> Version:
    """By its own name or by an alias."""
    alias = await rows.find_alias(connection, wanted)
    version = await rows.find_version(connection, alias.version if alias else wanted)
    if version is None:
        raise NotFound(f"No version or alias {wanted}. `keyhall versions list` shows them.")
    return version


async def find(store: SqlStore, wanted: str) -> tuple[Version, list[str]]:
    """A version, and the aliases that point to it."""
    async with store.reading() as connection:
        version = await _version_by(connection, wanted)
        aliases = await rows.list_aliases(connection)
    return version, [alias.name for alias in aliases if alias.version == version.name]


async def add(
    store: SqlStore,
    version: Version,
    *,
    actor: Actor,
    now_us: int,
    own: ModelRecord | None = None,
) -> Version:
    """Store a new record; its number is given by the store. `own`: the house model, if it can
    answer."""
    _check(version)
    async with store.writing() as connection:
        models = {own.name: own} if own is not None else {}
        models |= {model.name: model for model in await model_rows.list_models(connection)}
        engines = {EMBEDDED, *models}
        engines |= {engine.name for engine in await rows.list_engines(connection)}
        if version.engine not in engines:
            known = ", ".join(sorted(engines))
            raise Invalid(
                f"There is no engine '{version.engine}'; there is {known}. "
                "`keyhall engines add NAME --url URL` adds one."
            )
        await _free_name(connection, version.name)
        if version.engine in models:
            version = _of_model(version, models[version.engine])
        return await rows.enter_version(connection, version, actor, now_us)


def _of_model(version: Version, model: ModelRecord) -> Version:
    """As a model in a file can answer it: it counts its own prompts, whatever was said, and a
    request has the tokens of one slot."""
    wanted = version.max_input_tokens + version.max_output_tokens
    if wanted > model.slot_context:
        raise Invalid(
            f"{version.max_input_tokens:,} tokens in and {version.max_output_tokens:,} out do not "
            f"fit: a request to {model.name} has {model.slot_context:,} for both."
        )
    return replace(
        version,
        engine_model=called(model),
        tokenizer=ENGINE_COUNTS,
        count="exact",
        fingerprint="",
    )


async def _free_name(connection: AsyncConnection, name: str) -> None:
    if await rows.find_version(connection, name) is not None:
        raise Invalid(
            f"There is a version {name} already, and a version never changes. "
            "Give the new one a name of its own, such as the next number."
        )
    if await rows.find_alias(connection, name) is not None:
        raise Invalid(f"{name} is an alias; a version needs a name of its own.")


def _check(version: Version) -> None:
    _name(version.name, "a version")
    for what, tokens in (
        ("input", version.max_input_tokens),
        ("output", version.max_output_tokens),
    ):
        if not 1 <= tokens <= TOKENS_MAX:
            raise Invalid(f"A maximum {what} of {tokens:,} tokens is not in 1...{TOKENS_MAX:,}.")
    for name, value in version.sampling.said().items():
        bounds = SETTINGS[name]
        if not bounds.low <= value <= bounds.high:
            what = name.replace("_penalty", " penalty")
            raise Invalid(f"A {what} of {value} is not in {bounds.low}...{bounds.high}.")
    if version.price is not None:
        _check_price(version.price)


def _check_price(price: Price) -> None:
    if not (0 <= price.input <= PRICE_MAX and 0 <= price.output <= PRICE_MAX):
        raise Invalid("A price is between 0 and 1,000,000 per million tokens.")


def _name(name: str, what: str) -> str:
    if not name:
        raise Invalid(f"The name of {what} is empty.")
    if len(name) > checks.NAME_CHARACTERS_MAX or not set(name) <= _CHARACTERS:
        raise Invalid(
            f"'{name}' cannot be the name of {what}: at most {checks.NAME_CHARACTERS_MAX} letters, "
            "digits and . _ : / - @ +"
        )
    return name


# --- What may change ------------------------------------------------------------------------------


async def deprecate(
    store: SqlStore,
    wanted: str,
    *,
    retires_at_us: int | None,
    replacement: str | None,
    actor: Actor,
    now_us: int,
) -> Version:
    """It still answers, with `Deprecation` and `Sunset` headers; without a day it stays so."""
    async with store.writing() as connection:
        before = await _version_by(connection, wanted)
        _not_retired(before, now_us)
        if retires_at_us is not None and retires_at_us <= now_us:
            raise Invalid("That day has passed; `keyhall versions retire` retires it now.")
        after = replace(
            before,
            status="deprecated",
            deprecated_at_us=before.deprecated_at_us or now_us,
            retires_at_us=retires_at_us or before.retires_at_us,
            replacement=await _replacement(connection, before, replacement, now_us),
        )
        return await _stand(connection, before, after, "version.deprecate", actor, now_us)


async def retire(
    store: SqlStore, wanted: str, *, replacement: str | None, actor: Actor, now_us: int
) -> Version:
    """It refuses from now on and says what to use instead; of a retired one, only that changes."""
    async with store.writing() as connection:
        return await retire_within(connection, wanted, replacement, actor, now_us)


async def retire_within(
    connection: AsyncConnection, wanted: str, replacement: str | None, actor: Actor, now_us: int
) -> Version:
    """`retire` as a part of something larger."""
    before = await _version_by(connection, wanted)
    if replacement is None:
        _not_retired(before, now_us)
    use = await _replacement(connection, before, replacement, now_us)
    if status_at(before, now_us) == "retired":
        after = replace(before, replacement=use)
    else:
        if use is None:
            await _not_meant(connection, before)
        after = replace(
            before,
            status="retired",
            retires_at_us=now_us,
            deprecated_at_us=before.deprecated_at_us or now_us,
            replacement=use,
        )
    return await _stand(connection, before, after, "version.retire", actor, now_us)


def _not_retired(version: Version, now_us: int) -> None:
    if status_at(version, now_us) == "retired":
        raise Invalid(f"{version.name} is retired already.")


async def _not_meant(connection: AsyncConnection, version: Version) -> None:
    """Callers who use an alias would be left with nothing."""
    aliases = await rows.list_aliases(connection)
    names = [alias.name for alias in aliases if alias.version == version.name]
    if names:
        still = f"{', '.join(names)} still {'means' if len(names) == 1 else 'mean'} {version.name}"
        raise Invalid(
            f"{still}: say what to use instead with --use, or first "
            f"`keyhall aliases move {names[0]} VERSION`."
        )


async def _replacement(
    connection: AsyncConnection, version: Version, wanted: str | None, now_us: int
) -> str | None:
    """The name that callers are told; it must answer, and not by the version itself."""
    if wanted is None:
        return version.replacement
    found = await _version_by(connection, wanted)
    if found.name == version.name:
        raise Invalid(f"{wanted} is {version.name} itself; name another version.")
    if status_at(found, now_us) == "retired":
        raise Invalid(f"{wanted} is retired; name a version that answers.")
    return wanted


async def _stand(
    connection: AsyncConnection,
    before: Version,
    after: Version,
    action: str,
    actor: Actor,
    now_us: int,
) -> Version:
    if after != before:
        await rows.replace_standing(connection, after)
        await notes.record(
            connection,
            actor,
            now_us,
            action=action,
            target=after.name,
            before=before,
            after=after,
            changed="catalogue",
        )
    return after


async def set_price(
    store: SqlStore, wanted: str, price: Price, *, actor: Actor, now_us: int
) -> Version:
    """A new price for requests admitted from now on; the old one stays on record (R18)."""
    _check_price(price)
    async with store.writing() as connection:
        before = await _version_by(connection, wanted)
        after = replace(before, price=price)
        if after != before:
            await rows.add_price(connection, before.number, price, now_us)
            await notes.record(
                connection,
                actor,
                now_us,
                action="version.price",
                target=before.name,
                before=before,
                after=after,
                changed="catalogue",
            )
        return after


# --- Aliases --------------------------------------------------------------------------------------


async def move_alias(
    store: SqlStore, name: str, wanted: str, *, actor: Actor, now_us: int
) -> tuple[Alias, Alias | None]:
    """Make a name mean a version. Returns what it means now, and what it meant before."""
    _name(name, "an alias")
    async with store.writing() as connection:
        version = await _version_by(connection, wanted)
        if status_at(version, now_us) == "retired":
            raise Invalid(f"{version.name} is retired; an alias must mean a version that answers.")
        if await rows.find_version(connection, name) is not None:
            raise Invalid(f"{name} is a version's own name, which cannot mean another one.")
        return await rows.aim(connection, name, version.name, actor, now_us)


async def set_fallbacks(
    store: SqlStore, name: str, wanted: Sequence[str], *, actor: Actor, now_us: int
) -> Alias:
    """Say which versions answer for an alias, in this order, while the engine of the one it means
    cannot. None of them: nobody does."""
    if len(wanted) > FALLBACKS_MAX:
        raise Invalid(f"At most {FALLBACKS_MAX} versions can answer instead.")
    async with store.writing() as connection:
        before = await rows.find_alias(connection, name)
        if before is None:
            raise NotFound(f"No alias {name}. `keyhall aliases list` shows them.")
        found = [await _version_by(connection, each) for each in wanted]
        for version in found:
            if status_at(version, now_us) == "retired":
                raise Invalid(f"{version.name} is retired; name a version that answers.")
            if version.name == before.version:
                raise Invalid(f"{name} means {version.name} already; name another version.")
        names = tuple(dict.fromkeys(version.name for version in found))
        after = replace(before, fallbacks=names)
        if after != before:
            await rows.replace_fallbacks(connection, before, after, actor, now_us)
        return after
