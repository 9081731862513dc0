"""Rotating a key: a successor now, an end for the old one later, and a way back meanwhile."""

import os

from starlette.responses import Response

from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.console.pages.keys.making import reveal
from keyhall.console.pages.keys.showing import of_path, to_change
from keyhall.flows.holders import rotations
from keyhall.flows.manage import keys
from keyhall.flows.manage.checks import Invalid, Refused
from keyhall.policy.keys import ENTROPY_BYTES
from keyhall.ports.records import Key
from keyhall.stores.holders import traffic

HOUR_US = 3_600_000_000
GRACES = {
    "0": ("At once", 0),
    "1h": ("In 1 hour", HOUR_US),
    "24h": ("In 24 hours", 24 * HOUR_US),
    "7d": ("In 7 days", 7 * 24 * HOUR_US),
}


async def show_rotate(ask: Ask) -> Response:
    return await _page(ask, await to_change(ask))


async def _page(ask: Ask, key: Key, fault: str = "") -> Response:
    async with ask.store.reading() as connection:
        used = (await traffic.since(connection, [key.id], ask.now_us - 24 * HOUR_US))[key.id]
    return ask.page(
        "keys/rotate.html",
        400 if fault else 200,
        key=key,
        state=key.state(ask.now_us),
        used=used,
        graces={name: said for name, (said, _) in GRACES.items()},
        fault=fault,
    )


async def rotate(ask: Ask) -> Response:
    key = await to_change(ask)
    try:
        if ask.text("grace") not in GRACES:
            raise Invalid("Choose when the old key ends.")
        fresh, old = await keys.rotate(
            ask.store,
            key.id,
            overlap_us=GRACES[ask.text("grace")][1],
            pepper=ask.console.peppers[0],
            entropy=os.urandom(ENTROPY_BYTES),
            **ask.by,
        )
    except Refused as error:
        return await _page(ask, key, str(error))
    return reveal(ask, fresh, heading="The new key", old=old)


async def still_used(ask: Ask) -> Response:
    """The old key's traffic, again and again while somebody looks."""
    key = await of_path(ask)
    turning = await rotations.turning(ask.store, key, ask.now_us)
    return ask.page("keys/turning.html", key=key, turning=turning)


async def finish(ask: Ask) -> Response:
    key = await to_change(ask)
    if await rotations.turning(ask.store, key, ask.now_us) is None:
        raise Invalid("That key is in no rotation, so there is nothing to finish.")
    await keys.expire(ask.store, key.id, ask.now_us, **ask.by)
    return ask.go(f"/keys/{key.id}", "The old key has ended.")


async def undo(ask: Ask) -> Response:
    key = await to_change(ask)
    await rotations.undo(ask.store, key.id, **ask.by)
    return ask.go(f"/keys/{key.id}", "The rotation is taken back: this key goes on as before.")


ROUTES = (
    Page("GET", "/keys/{key_id}/rotate", show_rotate, "keys.write"),
    Page("POST", "/keys/{key_id}/rotate", rotate, "keys.write"),
    Page("GET", "/keys/{key_id}/still-used", still_used, "keys.read"),
    Page("POST", "/keys/{key_id}/finish", finish, "keys.write"),
    Page("POST", "/keys/{key_id}/unrotate", undo, "keys.write"),
)
