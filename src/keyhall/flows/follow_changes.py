"""Keep snapshots as new as the store: ask for changes whenever there may be some (R14).

Commands and other servers write to the store from other processes; this one sees it within 200 ms
on SQLite, within a second on PostgreSQL. A store that does not answer is asked again; what was
missed is then read in one go. Whatever else goes wrong is said once and tried again: a hall that
stopped to look would serve revoked keys for ever.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable, Sequence

from keyhall.flows.hall import Hall
from keyhall.ports.store import Change, StoreAway

ANSWER_SECONDS = 2.0  # A store that takes longer is away.
TOUCH_SECONDS = 30.0
TOUCHING_SECONDS = 0.5  # Changes are not looked for meanwhile, and a revocation has a second (I-3).

GOLDEN = 0.618033988749895  # Whatever numbers follow each other, their multiples lie far apart.

Reload = Callable[[], Awaitable[None]]


class Follower:
    """Applies changes to a hall. `reload_engines` and `reload_tiers` belong to app.py."""

    def __init__(self, hall: Hall, seen: int, reload_engines: Reload, reload_tiers: Reload) -> None:
        self._hall = hall
        self._seen = seen
        self._reload_engines = reload_engines
        self._reload_tiers = reload_tiers
        self._trouble: str | None = None
        self._log = logging.getLogger("keyhall")

    async def run(self) -> None:
        """Until cancelled."""
        now = asyncio.get_running_loop().time
        touch_at = now() + TOUCH_SECONDS + spread_seconds(os.getpid(), TOUCH_SECONDS)
        while True:
            await self._try(self.catch_up)
            if now() >= touch_at:
                touch_at = now() + TOUCH_SECONDS
                await self._try(self._touch)
            await self._hall.store.changed()

    async def _try(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do it; of the same trouble in a row only the first is told."""
        try:
            await work()
        except StoreAway as error:
            if self._trouble != "store":
                self._log.warning("store_away", {"reason": str(error)})
            self._trouble = "store"
        except Exception as error:
            if self._trouble != type(error).__name__:
                self._log.error("changes_not_followed", {"after": self._seen}, exc_info=error)
            self._trouble = type(error).__name__
        else:
            if self._trouble is not None:
                self._log.info("changes_followed_again", {"after": self._seen})
            self._trouble = None

    async def _touch(self) -> None:
        with contextlib.suppress(TimeoutError):  # What is not noted now is lost, by design.
            async with asyncio.timeout(TOUCHING_SECONDS):
                await self._hall.store.touch_keys(self._hall.callers.last_used())

    async def catch_up(self) -> None:
        """Read and apply what has changed since the last time."""
        changes = await self._changes()
        if changes:
            await self._apply(changes)
            self._seen = changes[-1].number
        self._hall.callers.store_returned()

    async def _changes(self) -> Sequence[Change]:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._hall.store.changes_since(self._seen)
        except TimeoutError:
            self._hall.callers.store_went()
            raise StoreAway(f"no answer within {ANSWER_SECONDS:g} s") from None
        except StoreAway:
            self._hall.callers.store_went()
            raise

    async def _apply(self, changes: Sequence[Change]) -> None:
        callers = self._hall.callers
        named = {(change.kind, change.id) for change in changes}
        # First, and without waiting for anything: what is read below may fail half way, and no
        # request may go by what is known to have changed (I-3).
        for kind, identity in named:
            if kind in ("project", "organization"):
                callers.owner_changed(identity)
            elif kind == "key":
                callers.expire(identity)
            elif kind == "review" and self._hall.reviews is not None:
                self._hall.reviews.changed(identity.removeprefix("rev_"))
        kinds = {change.kind for change in changes}
        if "engine" in kinds:
            await self._reload_engines()
        if "tier" in kinds:
            await self._reload_tiers()
        if "filter" in kinds:
            self._hall.filters.take(await self._hall.store.load_rules())
            callers.rules_changed()
        if kinds & {"catalogue", "engine"}:
            catalogue = await self._hall.store.load_catalogue()
            for name in catalogue.tokenizers():  # Making one takes 100 ms: no request waits for it.
                await asyncio.to_thread(self._hall.tokenizer, name)
            self._hall.catalogue = catalogue
        for kind, identity in named:
            if kind == "key":
                await callers.key_changed(identity)


def spread_seconds(process: int, period: float) -> float:
    """Where in each period a process has its turn: those that were started together on one machine
    do not all write at once."""
    return process * GOLDEN % 1 * period
