"""Keep snapshots as new as the store: ask for changes ten times a second (R14).

Commands write to the store from other processes; the server sees it within 200 ms. A store that
does not answer is asked again; what was missed is then read in one go.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from keyhall.flows.hall import Hall
from keyhall.ports.store import Change, StoreAway

ASK_SECONDS = 0.1
TOUCH_SECONDS = 30.0

Reload = Callable[[], Awaitable[None]]


class Follower:
    """Applies changes to a hall. `reload_engines` and `reload_tiers` belong to app.py."""

    def __init__(self, hall: Hall, seen: int, reload_engines: Reload, reload_tiers: Reload) -> None:
        self._hall = hall
        self._seen = seen
        self._reload_engines = reload_engines
        self._reload_tiers = reload_tiers

    async def run(self) -> None:
        """Until cancelled."""
        log = structlog.get_logger("keyhall")
        is_away = False
        until_touch = TOUCH_SECONDS
        while True:
            try:
                await self.catch_up()
                if until_touch <= 0:
                    until_touch = TOUCH_SECONDS
                    await self._hall.store.touch_keys(self._hall.callers.last_used())
            except StoreAway as error:
                if not is_away:
                    log.warning("store_away", reason=str(error))
                is_away = True
            else:
                if is_away:
                    log.info("store_back")
                is_away = False
            await asyncio.sleep(ASK_SECONDS)
            until_touch -= ASK_SECONDS

    async def catch_up(self) -> None:
        """Read and apply what has changed since the last time."""
        changes = await self._hall.store.changes_since(self._seen)
        if changes:
            await self._apply(changes)
            self._seen = changes[-1].number

    async def _apply(self, changes: Sequence[Change]) -> None:
        kinds = {change.kind for change in changes}
        if "engine" in kinds:
            await self._reload_engines()
        if "tier" in kinds:
            await self._reload_tiers()
        if kinds & {"catalogue", "engine"}:
            self._hall.catalogue = await self._hall.store.load_catalogue()
        callers = self._hall.callers
        for change in {(change.kind, change.id) for change in changes}:
            kind, identity = change
            if kind == "key":
                await callers.key_changed(identity)
            elif kind in ("project", "organization"):
                await callers.owner_changed(identity)
