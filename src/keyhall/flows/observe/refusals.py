"""What keys were refused: kept for the people whose keys they are, bounded whatever callers do.

The lane calls `refused` where an error is told to a caller, and nowhere else: a request that is
admitted and answered passes nothing of this. There a refusal is counted by key, row and minute,
and the first ROWS_A_MINUTE of each key are appended to a list. A background task writes both, in
one transaction every FLUSH_SECONDS. While the store is away the list is dropped and the counts,
of which there are at most COUNTS_MAX, wait.

A refusal holds numbers, and names of ours. Of what a caller sent it holds nothing: not the name of
a model that there is none of, not a parameter's, not an address.
"""

import asyncio
import contextlib
from typing import Any

import msgspec

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.flows.authenticate import known_caller
from keyhall.flows.hall import Hall
from keyhall.flows.unbroken import unbroken
from keyhall.policy.access import Grant
from keyhall.ports.exchange import Exchange
from keyhall.ports.requests import Refusal, RefusalCount
from keyhall.ports.store import StoreAway
from keyhall.stores.requests import refusals as stored
from keyhall.stores.sql import SqlStore
from keyhall.wire.chat import ChatRequest

WAITING_MAX = 10_000  # 5 MB
COUNTS_MAX = 10_000
ROWS_A_MINUTE = 60  # of a key; beyond it refusals are only counted
FLUSH_SECONDS = 0.5
SWEEP_SECONDS = 3600.0
DAY_US = 86_400_000_000
MINUTE_US = 60_000_000
FOREVER_US = 1 << 62
TEXT_MAX = 64

# Facts that are ours: numbers of the decision, and names of scopes, resources and their owners.
_NUMBERS = frozenset(
    {"limit", "used", "held", "requested", "remaining", "fits_now", "wait_us", "tokens", "asked"}
    | {"bound", "got", "open"}
)
_TEXTS = frozenset({"tokens", "amount", "used", "held", "requested", "scope", "resource", "period"})
_TEXTS |= {"owner", "at", "until"}
# A scope that is missing names the model that was asked for.
_TEXTLESS = frozenset({errors.SCOPE_MISSING.name})
_FIELDS = frozenset(ChatRequest.__struct_fields__)

Counted = tuple[int, str, str, str]  # minute, key, row, version


class Refusals:
    """One per process; None in the hall where nothing is to be kept."""

    def __init__(self) -> None:
        self._waiting: list[Refusal] = []
        self._counts: dict[Counted, int] = {}
        self._owners: dict[str, tuple[str, str]] = {}  # of the keys that are counted
        self._minute_us = 0
        self._rows: dict[str, int] = {}  # of each key in this minute
        self.dropped = 0  # refusals that were not even counted

    def refused(self, exchange: Exchange, error: ApiError, hall: Hall) -> None:
        """Note that a caller was told this error. Whoever is not known is not noted, nor is an
        answer that ended in the middle: its usage says so."""
        if not exchange.known_lines or exchange.answered_us:
            return
        caller = known_caller(exchange, hall)
        if caller is None:
            return
        grant = caller.grant
        at_us = exchange.started_us
        is_admitted = b"x-keyhall-output-cap" in exchange.known_lines
        version = _version(error, hall)
        if not is_admitted:
            self._count(at_us - at_us % MINUTE_US, grant, error.problem.name, version or "")
        if len(self._waiting) < WAITING_MAX and self._has_row(grant.key_id, at_us):
            self._waiting.append(
                Refusal(
                    exchange.request_id.hex(),
                    grant.key_id,
                    grant.project_id,
                    grant.organization_id,
                    error.problem.name,
                    error.problem.status,
                    at_us,
                    is_admitted,
                    version,
                    msgspec.json.encode(facts_of(error)).decode(),
                )
            )

    def _count(self, minute_us: int, grant: Grant, row: str, version: str) -> None:
        by = (minute_us, grant.key_id, row, version)
        counted = self._counts.get(by, 0)
        if not counted and len(self._counts) >= COUNTS_MAX:
            self.dropped += 1
            return
        self._counts[by] = counted + 1
        self._owners[grant.key_id] = (grant.project_id, grant.organization_id)

    def _has_row(self, key_id: str, at_us: int) -> bool:
        """Whether this refusal is one of the first of its key in its minute."""
        minute_us = at_us - at_us % MINUTE_US
        if minute_us > self._minute_us:
            self._minute_us = minute_us
            self._rows.clear()
        before = self._rows.get(key_id, 0)
        self._rows[key_id] = before + 1
        return before < ROWS_A_MINUTE

    # --- Into the store -------------------------------------------------------------------------

    async def flush(self, store: SqlStore, now_us: int) -> None:
        """Write what there is; never raises for a store that is away."""
        if not self._waiting and not self._counts:
            return
        rows, self._waiting = self._waiting, []
        counts, self._counts = self._counts, {}
        owners, self._owners = self._owners, {}
        values = [
            RefusalCount(minute_us, key, row, version, *owners[key], count)
            for (minute_us, key, row, version), count in counts.items()
        ]
        try:
            async with store.writing() as connection:
                await stored.add(connection, rows, values, now_us)
        except StoreAway:
            self._wait_on(counts, owners)

    def _wait_on(self, counts: dict[Counted, int], owners: dict[str, tuple[str, str]]) -> None:
        """The store is away: what was counted meanwhile comes on top, as far as there is room."""
        for by, count in self._counts.items():
            if by in counts or len(counts) < COUNTS_MAX:
                counts[by] = counts.get(by, 0) + count
            else:
                self.dropped += count
        self._counts = counts
        self._owners = owners | self._owners


async def keep(hall: Hall, store: SqlStore, days: int) -> None:
    """Note what is refused, write it, and delete what is older than so many days, until cancelled.
    0 days: nothing is noted, and what was kept before goes."""
    loop = asyncio.get_running_loop()
    noted = Refusals()
    hall.refusals = noted if days else None
    sweep_at = loop.time()
    try:
        while True:
            if loop.time() >= sweep_at:
                sweep_at = loop.time() + SWEEP_SECONDS
                before_us = hall.clock.now_us() - days * DAY_US if days else FOREVER_US
                await unbroken(_swept(store, before_us))
            await asyncio.sleep(FLUSH_SECONDS)
            await unbroken(noted.flush(store, hall.clock.now_us()))
    finally:
        hall.refusals = None
        await noted.flush(store, hall.clock.now_us())


async def _swept(store: SqlStore, before_us: int) -> None:
    with contextlib.suppress(StoreAway):  # An hour later it is made up for.
        async with store.writing() as connection:
            await stored.sweep(connection, before_us)


# --- What is kept of an error ---------------------------------------------------------------------


def facts_of(error: ApiError) -> dict[str, Any]:
    """The numbers of a refusal, and names of ours; and which field of the request it is about, if
    that is a field that we know."""
    found: dict[str, Any] = {}
    for name, value in error.facts.items():
        is_number = value.__class__ is int and name in _NUMBERS
        is_text = value.__class__ is str and name in _TEXTS
        if is_number or (
            is_text and error.problem.name not in _TEXTLESS and len(str(value)) <= TEXT_MAX
        ):
            found[name] = value
    field = (error.param or "").partition(".")[0].partition("[")[0]
    if field in _FIELDS:
        found["field"] = field
    return found


def _version(error: ApiError, hall: Hall) -> str | None:
    """The version that was asked for, if there is one of that name."""
    name = error.facts.get("model")
    if not isinstance(name, str):
        return None
    version = hall.catalogue.find(name)
    return None if version is None else version.name
