"""Who is calling: keys that were seen, as snapshots that the store's changes replace (R14).

A snapshot lives in a bounded dictionary by the key's HMAC digest. When a change in the store is
noticed it counts as stale from that moment, and whoever needs it next waits for the new one: a
project with ten thousand keys costs no more than one. A look-up that began before a change was
noticed is repeated, so a slow one can never put an old value back. Unknown keys are remembered for
a second, so that a flood of one wrong key costs one query a second. A key that was forgotten for
others is found for as long as a request has it, so a key never has two snapshots, and a revocation
meets every stream.

While the store is away (I-8) a snapshot holds for ten minutes from its key's last request; of other
keys only the store could tell: 503. So it is with a stale snapshot: of a change that is known of, a
revocation may be what is not known yet (I-3).
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any
from weakref import WeakValueDictionary

from keyhall import errors
from keyhall.clock import Clock
from keyhall.errors import ApiError
from keyhall.flows.filters.table import Filter, Filters
from keyhall.policy import keys, tiers
from keyhall.policy.access import Grant
from keyhall.policy.tiers import Tier
from keyhall.ports.exchange import KeyRevoked, Running
from keyhall.ports.store import LaneStore, StoreAway

CALLERS_MAX = 50_000
UNKNOWN_MAX = 10_000
UNKNOWN_US = 1_000_000
SEEN_US = 600_000_000  # so long after its last request a key goes on while the store is away (I-8)
LOOK_UP_SECONDS = 2.0  # A client that is told to come again is better off than one that waits.

Query = Callable[[], Coroutine[Any, Any, Grant | None]]


class Caller:
    """The key, project and account behind a request. Updated in place when its key changes, so
    that the requests it has open are known."""

    __slots__ = (
        "__weakref__",
        "effective",
        "filter",
        "grant",
        "is_stale",
        "is_unrestricted",
        "last_used_us",
        "lines",
        "open",
        "quotas",
        "seen_us",
        "until_us",
    )

    def __init__(self, grant: Grant, tier_table: Mapping[str, Tier], now_us: int) -> None:
        self.open: set[Running] | None = None
        self.last_used_us = 0
        self.seen_us = now_us  # the last use that was told, or when the store was asked
        self.filter: Filter | None = None  # the rules it is under, None if it is under none
        self.update(grant, tier_table, now_us)

    def update(self, grant: Grant, tier_table: Mapping[str, Tier], now_us: int) -> None:
        self.grant = grant
        self.is_stale = False
        self.effective = tiers.effective(grant, tier_table, now_us)
        self.until_us = self.effective.until_us  # `Callers.renew` it then, before it is used again.
        # Most keys are live and unrestricted: for them the access rules need not run at all.
        self.is_unrestricted = (
            grant.is_organization_active
            and grant.revoked_at_us is None
            and grant.expires_at_us is None
            and grant.paused_at_us is None
            and grant.networks is None
            and grant.endpoints is None
            and grant.models is None
            and grant.project_models is None
        )
        # Those that may refuse. What a test key uses counts nowhere (R19).
        self.quotas = tuple(
            quota for quota in grant.quotas if quota.policy == "suspend" and grant.mode != "test"
        )
        mode = b"x-keyhall-mode: test\r\n" if grant.mode == "test" else b""
        self.lines = b"openai-organization: %b\r\nopenai-project: %b\r\n%b" % (
            grant.organization_id.encode(),
            grant.project_id.encode(),
            mode,
        )

    def expire(self) -> None:
        """What it was made of has changed in the store."""
        self.is_stale = True
        self.until_us = 0

    @property
    def goes_on_until_us(self) -> int:
        """Without the store."""
        return max(self.seen_us, self.last_used_us) + SEEN_US

    def opened(self, request: Running) -> None:
        if self.open is None:
            self.open = {request}
        else:
            self.open.add(request)

    def closed(self, request: Running) -> None:
        if self.open is not None:
            self.open.discard(request)


class Callers:
    """The snapshots of one process."""

    def __init__(
        self,
        store: LaneStore,
        tier_table: Mapping[str, Tier],
        peppers: tuple[bytes, ...],
        clock: Clock,
        url: str,
        filters: Filters | None = None,
    ) -> None:
        self.filters = filters or Filters()
        self._store = store
        self._tiers = tier_table
        self.digest = keys.digester(peppers[0])
        self._older_peppers = peppers[1:]
        self._clock = clock
        self._url = url
        self.known: dict[bytes, Caller] = {}
        self._digest_of: dict[str, bytes] = {}  # key id -> digest
        # By key id: forgotten, but a request has it that waits for its body or a hold, or runs.
        self._in_use: WeakValueDictionary[str, Caller] = WeakValueDictionary()
        self._unknown: dict[bytes, int] = {}  # digest -> until
        self._generation = 0
        self._is_away = False  # the store, as far as we noticed

    async def look_up(self, text: bytes, digest: bytes) -> Caller:
        """The caller for a key that is not known yet. Raises KEY_UNKNOWN or STORE_AWAY."""
        now_us = self._clock.now_us()
        until_us = self._unknown.get(digest)
        if (until_us is not None and now_us < until_us) or not keys.is_well_formed(text):
            raise self._unknown_key(text)
        grant = await self._ask(lambda: self._query(text, digest))
        if grant is None:
            if len(self._unknown) >= UNKNOWN_MAX:
                self._unknown.clear()
            self._unknown[digest] = now_us + UNKNOWN_US
            raise self._unknown_key(text)
        caller = self.known.get(digest)
        if caller is None:
            # One that a request still has may be stale: then it is renewed before it is used.
            caller = self._in_use.pop(grant.key_id, None) or self._new(grant, now_us)
            self._remember(digest, caller)
            self._bound(caller)
        return caller

    async def renew(self, caller: Caller) -> None:
        """The snapshot's time is over: something changed in the store, or time alone has changed
        its limits (the first 48 hours are over), or it was not seen for long while the store is
        away. Raises STORE_AWAY."""
        now_us = self._clock.now_us()
        if caller.is_stale or (self._is_away and caller.goes_on_until_us <= now_us):
            await self._reload(caller, self._ask)
            caller.seen_us = self._clock.now_us()
        else:
            self._update(caller, caller.grant, now_us)
        self._bound(caller)

    def _new(self, grant: Grant, now_us: int) -> Caller:
        caller = Caller(grant, self._tiers, now_us)
        caller.filter = self.filters.of(grant)
        return caller

    def _update(self, caller: Caller, grant: Grant, now_us: int) -> None:
        caller.update(grant, self._tiers, now_us)
        caller.filter = self.filters.of(grant)

    def store_went(self) -> None:
        """The store does not answer. What it said of unknown keys may be old by now."""
        if not self._is_away:
            self._is_away = True
            self._unknown.clear()
            for caller in self._all():
                self._bound(caller)

    def store_returned(self) -> None:
        self._is_away = False

    def _bound(self, caller: Caller) -> None:
        if self._is_away:
            caller.until_us = min(caller.until_us, caller.goes_on_until_us)

    def digests(self, text: bytes) -> list[bytes]:
        """Of a key under every pepper, the newest first."""
        return [self.digest(text), *(keys.digest(each, text) for each in self._older_peppers)]

    async def _ask(self, query: Query) -> Grant | None:
        """`_latest` for a request, which is refused if the store does not answer."""
        try:
            return await self._latest(query)
        except StoreAway:
            raise ApiError(errors.STORE_AWAY, headers=((b"retry-after", b"1"),)) from None

    async def _latest(self, query: Query) -> Grant | None:
        """What the store says, after all changes that were noticed by then. StoreAway after
        LOOK_UP_SECONDS."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LOOK_UP_SECONDS
        while True:
            generation = self._generation
            # A task of its own: the store's driver wants one, and a client that leaves must
            # not cancel a query in the middle of its connection.
            grant = await asyncio.shield(loop.create_task(_by(deadline, query)))
            if generation == self._generation:
                return grant

    async def _query(self, text: bytes, digest: bytes) -> Grant | None:
        grant = await self._store.find_grant(digest)
        for pepper in self._older_peppers:
            if grant is None:
                grant = await self._store.find_grant(keys.digest(pepper, text))
        return grant

    def _remember(self, digest: bytes, caller: Caller) -> None:
        if len(self.known) >= CALLERS_MAX:
            self._forget_one()
        self.known[digest] = caller
        self._digest_of[caller.grant.key_id] = digest

    def _forget_one(self) -> None:
        """The longest known, save those with open requests: a revocation must find them."""
        for _ in range(len(self.known)):
            digest = next(iter(self.known))
            caller = self.known.pop(digest)
            if not caller.open:
                key_id = caller.grant.key_id
                del self._digest_of[key_id]
                self._in_use[key_id] = caller
                return
            self.known[digest] = caller  # At the end again.

    def _all(self) -> Iterator[Caller]:
        return chain(self.known.values(), self._in_use.values())

    def _unknown_key(self, text: bytes) -> ApiError:
        shown = keys.mask(text[:200].decode("latin-1"))
        return ApiError(errors.KEY_UNKNOWN, key=shown, url=self._url)

    # --- Changes --------------------------------------------------------------------------------

    async def key_changed(self, key_id: str) -> None:
        """Renew one key's snapshot; end its running requests if it was revoked."""
        caller = self.expire(key_id)
        if caller is not None:
            await self._reload(caller, self._latest)

    def expire(self, key_id: str) -> Caller | None:
        """A key changed: until the store says how, no request goes by its snapshot."""
        self._generation += 1
        self._unknown.clear()
        digest = self._digest_of.get(key_id)
        caller = self._in_use.get(key_id) if digest is None else self.known[digest]
        if caller is not None:
            caller.expire()
        return caller

    async def _reload(
        self, caller: Caller, ask: Callable[[Query], Coroutine[Any, Any, Grant | None]]
    ) -> None:
        key_id = caller.grant.key_id
        grant = await ask(lambda: self._store.find_grant_by_id(key_id))
        if grant is None:
            self._drop(key_id)
            grant = replace(caller.grant, revoked_at_us=self._clock.now_us())
        self._update(caller, grant, self._clock.now_us())
        if grant.revoked_at_us is not None:
            for request in list(caller.open or ()):
                request.cut(KeyRevoked())

    def owner_changed(self, owner_id: str) -> None:
        """A project or organization changed, and with it the snapshots of its keys."""
        self._generation += 1
        for caller in self._all():
            if owner_id in (caller.grant.project_id, caller.grant.organization_id):
                caller.expire()

    def tiers(self) -> Mapping[str, Tier]:
        """As they are now."""
        return self._tiers

    def tiers_changed(self, tier_table: Mapping[str, Tier]) -> None:
        self._tiers = tier_table
        self.rules_changed()

    def rules_changed(self) -> None:
        """Whatever is computed from a snapshot is to be computed again before its next use."""
        for caller in self._all():
            caller.until_us = 0

    def _drop(self, key_id: str) -> None:
        self._in_use.pop(key_id, None)
        digest = self._digest_of.pop(key_id, None)
        if digest is not None:
            del self.known[digest]

    def last_used(self) -> dict[str, int]:
        """Key ids and times used since the last call; kept for at most a minute (lossy)."""
        used = {}
        for caller in self._all():
            if caller.last_used_us:
                used[caller.grant.key_id] = caller.seen_us = caller.last_used_us
                caller.last_used_us = 0
        return used


async def _by(deadline: float, query: Query) -> Grant | None:
    """In a task of its own: the answer, or StoreAway at that time of the loop."""
    try:
        async with asyncio.timeout_at(deadline):
            return await query()
    except TimeoutError:
        raise StoreAway(f"no answer within {LOOK_UP_SECONDS:g} s") from None
