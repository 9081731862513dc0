"""A key's life: created, restricted, paused, rotated, revoked (R10, R13-R15, R25).

Only `create` and `rotate` ever hold a key's text, and hand it out once. A revoked key stays
revoked, an expired one may be given a later end.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.manage import checks
from keyhall.flows.manage.checks import Invalid, NotFound, Refused
from keyhall.flows.manage.organizations import default_project, project_by
from keyhall.policy import keys as form
from keyhall.policy.access import at
from keyhall.policy.keys import Mode
from keyhall.policy.limits import NO_LIMITS, Limits
from keyhall.policy.secrets import Secret
from keyhall.ports.records import Actor, Key, Project
from keyhall.stores import keys as rows
from keyhall.stores import notes, organizations
from keyhall.stores.sql import SqlStore

OVERLAP_US_MAX = 7 * 24 * 3_600_000_000
OVERLAP_US_DEFAULT = 24 * 3_600_000_000
ADMIN_LIFE_US = 90 * 24 * 3_600_000_000  # of an admin key whose end is not given
SAME_NAME_MAX = 50  # keys of one name that are looked through


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a new key shall be. `project` is an id or a name; None is the first run's."""

    name: str
    mode: Mode = "live"
    tier: str = "free-trial"
    project: str | None = None
    expires_at_us: int | None = None
    models: Sequence[str] | None = None
    endpoints: Sequence[str] | None = None
    networks: Sequence[str] | None = None
    limits: Limits = NO_LIMITS
    account_id: str | None = None  # whose it is; None: the owner's of the organization
    retention_days: int | None = None  # None: as its project


@dataclass(frozen=True, slots=True)
class Fresh:
    """A key that was just made, and its text: for one pair of eyes, once."""

    key: Key
    text: Secret


async def create(
    store: SqlStore,
    new: NewKey,
    *,
    tiers: Collection[str],
    pepper: bytes,
    entropy: bytes,
    actor: Actor,
    now_us: int,
) -> Fresh:
    """Make a key. `entropy` is `form.ENTROPY_BYTES` random bytes."""
    checks.tier(new.tier, tiers)
    if new.expires_at_us is not None:
        _in_future(new.expires_at_us, now_us)
    if new.mode == "admin":
        new = _admin(new, now_us)
    async with store.writing() as connection:
        if new.project is None:
            project = await default_project(connection)
        else:
            project = await project_by(connection, new.project)
        return await make(connection, new, project, pepper, entropy, actor, now_us)


async def make(
    connection: AsyncConnection,
    new: NewKey,
    project: Project,
    pepper: bytes,
    entropy: bytes,
    actor: Actor,
    now_us: int,
) -> Fresh:
    """`create` inside a transaction, for the first run."""
    account_id = new.account_id or await organizations.owner(connection, project.organization_id)
    assert account_id is not None, "every organization has an owner"
    fresh, digest = minted_for(new, project, account_id, pepper, entropy, now_us)
    await _add(connection, fresh.key, digest, pepper, "key.create", actor)
    return fresh


def minted_for(
    new: NewKey, project: Project, account_id: str, pepper: bytes, entropy: bytes, now_us: int
) -> tuple[Fresh, bytes]:
    """A key that nobody knows yet, and its digest."""
    minted = form.mint(new.mode, entropy)
    digest = form.digest(pepper, minted.text.reveal().encode())
    key = Key(
        id=minted.id,
        name=checks.name(new.name),
        mode=new.mode,
        masked=minted.masked,
        fingerprint=digest.hex()[:12],
        account_id=account_id,
        project_id=project.id,
        project_name=project.name,
        organization_id=project.organization_id,
        lineage=minted.id,
        tier=new.tier,
        created_at_us=now_us,
        networks=checks.networks(new.networks),
        endpoints=checks.endpoints(new.endpoints),
        models=checks.models(new.models),
        limits=checks.limits(new.limits),
        expires_at_us=new.expires_at_us,
        retention_days=checks.retention(new.retention_days),
    )
    return Fresh(key, minted.text), digest


async def _add(
    connection: AsyncConnection, key: Key, digest: bytes, pepper: bytes, action: str, actor: Actor
) -> None:
    await rows.add(connection, key, digest=digest, pepper=form.pepper_mark(pepper))
    await notes.record(
        connection,
        actor,
        key.created_at_us,
        action=action,
        target=key.id,
        before=None,
        after=key,
        changed="key",
    )


# --- Finding --------------------------------------------------------------------------------------


async def find(store: SqlStore, wanted: str, now_us: int) -> Key:
    """The key with this id, these 12 characters, or this name if only one in use has it."""
    async with store.reading() as connection:
        return await key_by(connection, wanted, now_us)


async def lineage(store: SqlStore, key: Key) -> tuple[Key | None, Key | None]:
    """The keys that this one was rotated from and into."""
    async with store.reading() as connection:
        before = key.rotated_from and await rows.find(connection, key.rotated_from)
        return before or None, await rows.successor(connection, key.id)


async def key_by(connection: AsyncConnection, wanted: str, now_us: int) -> Key:
    """`find` inside a transaction."""
    for key_id in (wanted, f"key_{wanted}"):
        key = await rows.find(connection, key_id)
        if key is not None:
            return key
    if wanted.startswith("sk-"):
        parsed = form.parse(wanted)
        hint = f"its id is {parsed.id}" if parsed else "`keyhall keys list` shows the ids"
        raise Invalid(f"That is a key itself. Name it by its id, and keep it secret: {hint}.")
    named = await rows.named(connection, wanted, SAME_NAME_MAX)
    in_use = [key for key in named if key.state(now_us) not in ("revoked", "expired")]
    for candidates in (in_use, named):
        if len(candidates) == 1:
            return candidates[0]
    if named:
        ids = ", ".join(key.id for key in (in_use or named)[:5])
        raise Invalid(f"{len(in_use or named)} keys are called '{wanted}': {ids}. Use an id.")
    what = "id" if wanted.startswith("key_") else "id or name"
    raise NotFound(f"No key with {what} {wanted}. `keyhall keys list` shows them.")


# --- Changing -------------------------------------------------------------------------------------


async def _change(
    store: SqlStore,
    wanted: str,
    change: Callable[[Key], Key],
    *,
    action: str,
    actor: Actor,
    now_us: int,
) -> Key:
    """Put a key into a new state. A change that changes nothing leaves no trace."""
    async with store.writing() as connection:
        before = await key_by(connection, wanted, now_us)
        if before.revoked_at_us is not None:
            raise Invalid(
                f"{before.id} was revoked on {at(before.revoked_at_us)}; a revoked key never works "
                "again. Create another one."
            )
        after = change(before)
        if after != before:
            await rows.replace(connection, after)
            await notes.record(
                connection,
                actor,
                now_us,
                action=action,
                target=after.id,
                before=before,
                after=after,
                changed="key",
            )
        return after


async def rename(store: SqlStore, wanted: str, name: str, *, actor: Actor, now_us: int) -> Key:
    name = checks.name(name)
    return await _change(
        store,
        wanted,
        lambda key: replace(key, name=name),
        action="key.rename",
        actor=actor,
        now_us=now_us,
    )


async def pause(store: SqlStore, wanted: str, *, actor: Actor, now_us: int) -> Key:
    """No new requests until it is resumed; running streams finish (R14)."""

    def paused(key: Key) -> Key:
        return key if key.paused_at_us else replace(key, paused_at_us=now_us, paused_by=actor.who)

    return await _change(store, wanted, paused, action="key.pause", actor=actor, now_us=now_us)


async def resume(
    store: SqlStore, wanted: str, *, actor: Actor, now_us: int, own_only: bool = False
) -> Key:
    """With `own_only`, for holders of keys, what another has paused stays so: raises Refused."""

    def resumed(key: Key) -> Key:
        if own_only and key.paused_at_us and key.paused_by != actor.who:
            raise Refused("Somebody else paused this key: ask who looks after the organization.")
        return replace(key, paused_at_us=None, paused_by=None)

    return await _change(store, wanted, resumed, action="key.resume", actor=actor, now_us=now_us)


async def revoke(
    store: SqlStore, wanted: str, *, reason: str | None, actor: Actor, now_us: int
) -> Key:
    """For good. Its running streams are cut (R14)."""
    reason = checks.reason(reason)
    return await _change(
        store,
        wanted,
        lambda key: replace(key, revoked_at_us=now_us, revoked_reason=reason),
        action="key.revoke",
        actor=actor,
        now_us=now_us,
    )


async def expire(
    store: SqlStore, wanted: str, at_us: int | None, *, actor: Actor, now_us: int
) -> Key:
    """Set or remove (None) the end of a key's life: now at the earliest."""
    if at_us is not None and at_us < now_us:
        raise Invalid(f"{at(at_us)} has passed; `keyhall keys expire KEY --at 0` ends a key now.")
    return await _change(
        store,
        wanted,
        lambda key: replace(key, expires_at_us=at_us),
        action="key.expire",
        actor=actor,
        now_us=now_us,
    )


async def set_limits(
    store: SqlStore,
    wanted: str,
    change: Callable[[Limits], Limits],
    *,
    tier: str | None,
    tiers: Collection[str],
    actor: Actor,
    now_us: int,
) -> Key:
    """Change the key's own limits, and its tier where one is given."""
    if tier is not None:
        checks.tier(tier, tiers)
    return await _change(
        store,
        wanted,
        lambda key: replace(
            key, limits=checks.limits(change(key.limits)), tier=key.tier if tier is None else tier
        ),
        action="key.limits",
        actor=actor,
        now_us=now_us,
    )


async def set_scopes(
    store: SqlStore,
    wanted: str,
    change: Callable[[Key], Key],
    *,
    actor: Actor,
    now_us: int,
) -> Key:
    """Change which models, endpoints and networks the key is good for."""
    return await _change(
        store,
        wanted,
        lambda key: _checked(change(key)),
        action="key.scopes",
        actor=actor,
        now_us=now_us,
    )


def _checked(key: Key) -> Key:
    return replace(
        key,
        models=checks.models(key.models),
        endpoints=checks.endpoints(key.endpoints),
        networks=checks.networks(key.networks),
    )


async def rotate(
    store: SqlStore,
    wanted: str,
    *,
    overlap_us: int,
    pepper: bytes,
    entropy: bytes,
    actor: Actor,
    now_us: int,
) -> tuple[Fresh, Key]:
    """A successor with the same grants and the same windows (R10); the old key works for
    `overlap_us` more. Returns both."""
    if not 0 <= overlap_us <= OVERLAP_US_MAX:
        raise Invalid("The overlap is between 0 seconds and 7 days.")
    async with store.writing() as connection:
        old = await key_by(connection, wanted, now_us)
        state = old.state(now_us)
        if state != "active":
            raise Invalid(f"{old.id} is {state}; only an active key can be rotated.")
        taken = await rows.successor(connection, old.id)
        if taken is not None:
            raise Invalid(f"{old.id} was rotated already: its successor is {taken.id}.")
        minted = form.mint(old.mode, entropy)
        digest = form.digest(pepper, minted.text.reveal().encode())
        new = replace(
            old,
            id=minted.id,
            masked=minted.masked,
            fingerprint=digest.hex()[:12],
            created_at_us=now_us,
            rotated_from=old.id,
            last_used_at_us=None,
        )
        ends_at_us = now_us + overlap_us
        ending = replace(old, expires_at_us=min(old.expires_at_us or ends_at_us, ends_at_us))
        await rows.replace(connection, ending)
        await notes.record(
            connection,
            actor,
            now_us,
            action="key.rotate",
            target=old.id,
            before=old,
            after=ending,
            changed="key",
        )
        await _add(connection, new, digest, pepper, "key.create", actor)
        return Fresh(new, minted.text), ending


def _admin(new: NewKey, now_us: int) -> NewKey:
    """An admin key calls no models: nothing that restricts calls makes sense for it."""
    bare = NewKey(new.name, "admin", new.tier, new.project, new.expires_at_us)
    if new != replace(bare, account_id=new.account_id):
        raise Invalid("An admin key calls no models: give it an end, and no other restriction.")
    ends_at_us = now_us + ADMIN_LIFE_US if new.expires_at_us is None else new.expires_at_us
    return replace(new, expires_at_us=ends_at_us)


def _in_future(at_us: int, now_us: int) -> None:
    if at_us <= now_us:
        raise Invalid(f"The key would expire on {at(at_us)}, which has passed.")
