"""A rotation on its way: who still uses the old key, ending it early, and taking it back."""

from dataclasses import dataclass, replace

from keyhall.flows.manage.checks import Invalid, NotFound
from keyhall.ports.records import Actor, Key
from keyhall.stores import keys as rows
from keyhall.stores import notes
from keyhall.stores.holders import traffic
from keyhall.stores.sql import SqlStore

LATELY_US = 600_000_000
TAKEN_BACK = "its rotation was taken back"


@dataclass(frozen=True, slots=True)
class Turning:
    """A rotated key in its grace: what it was used for in the last ten minutes, and whether the
    rotation can be taken back because nobody has used the new key."""

    old: Key
    new: Key
    requests: int
    last_us: int | None
    can_undo: bool

    @property
    def is_quiet(self) -> bool:
        return self.requests == 0


async def turning(store: SqlStore, old: Key, now_us: int) -> Turning | None:
    """None: it was not rotated, or its grace is over."""
    if old.state(now_us) not in ("active", "paused"):
        return None
    async with store.reading() as connection:
        new = await rows.successor(connection, old.id)
        if new is None:
            return None
        requests, last_us = await traffic.lately(connection, old.id, now_us - LATELY_US)
        used = new.last_used_at_us
        if used is None:
            _, used = await traffic.lately(connection, new.id, new.created_at_us)
    can_undo = used is None and new.revoked_at_us is None
    return Turning(old, new, requests, last_us or old.last_used_at_us, can_undo)


async def undo(store: SqlStore, old_id: str, *, actor: Actor, now_us: int) -> Key:
    """Revoke the successor, which nobody has used, and give the old key back its former end."""
    async with store.writing() as connection:
        old = await rows.find(connection, old_id)
        new = await rows.successor(connection, old_id)
        if old is None or new is None:
            raise NotFound("That key was not rotated.")
        if old.state(now_us) not in ("active", "paused"):
            raise Invalid("The old key has ended; its rotation cannot be taken back.")
        _, used = await traffic.lately(connection, new.id, new.created_at_us)
        if used is not None or new.last_used_at_us is not None:
            raise Invalid("The new key is in use already: taking it back would break who uses it.")
        ended = replace(new, revoked_at_us=now_us, revoked_reason=TAKEN_BACK)
        kept = replace(old, expires_at_us=new.expires_at_us)
        await rows.replace(connection, ended)
        await rows.detach(connection, new.id)
        await rows.replace(connection, kept)
        for before, after in ((new, ended), (old, kept)):
            await notes.record(
                connection,
                actor,
                now_us,
                action="key.unrotate",
                target=after.id,
                before=before,
                after=after,
                changed="key",
            )
        return kept
