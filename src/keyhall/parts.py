"""The parts of a hall that take more than a line to make: its data folder and store, the counters,
and the books. `app.py` joins them."""

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import IO

from keyhall import tokenizers
from keyhall.chores import (
    background,
    close_ledger,
)
from keyhall.clock import AdjustableClock, Clock
from keyhall.config import Config, Redis
from keyhall.counters.memory import MemoryCounters
from keyhall.counters.quotas import MemoryQuotas, QuotaSink
from keyhall.counters.redis.address import AddressError
from keyhall.counters.redis.address import parse as parse_address
from keyhall.counters.redis.connection import MARGIN_SECONDS
from keyhall.counters.redis.counters import RedisCounters
from keyhall.counters.redis.telling import Heritage
from keyhall.counters.shared_quotas import SharedQuotas
from keyhall.flows import restart
from keyhall.flows.lost_holds import keep_charging
from keyhall.ledger.files import identity
from keyhall.ledger.ledger import JournalLedger
from keyhall.ledger.recovery import Gone, Progress, Recovered, nothing, open_ledger
from keyhall.ledger.spool import PATTERN as SPOOLS
from keyhall.policy.catalogue import Catalogue
from keyhall.policy.tiers import Tier
from keyhall.ports.counters import Counters
from keyhall.ports.ledger import UsageSink
from keyhall.ports.quotas import Quotas
from keyhall.ports.store import LaneStore
from keyhall.stores.opening import open_database
from keyhall.stores.sql import SqlStore
from keyhall.turn import Turn

DAMAGE_SECONDS = 2.0  # A restart is to be ready in 5 s; `keyhall doctor` looks at the whole file.

_log = logging.getLogger("keyhall")


class StartRefused(Exception):
    """Why the hall cannot be opened, and what to do: one or two sentences for the operator."""


class HallBusy(StartRefused):
    """Another server runs on the data folder (R14)."""


async def store_of(
    stack: AsyncExitStack, config: Config, *, holds_folder: bool, url: str = ""
) -> SqlStore:
    """The data folder, held unless a parent holds it, and the store that the settings name. After
    a stop that was none (a kill, a power cut: a journal or a spool was left) a file is looked
    through first, for what a damaged one answers is anything."""
    folder = config.data
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if holds_folder:
        stack.enter_context(locked(folder, url))
    is_left = any(folder.glob("journal-*.bin")) or any(folder.glob(SPOOLS))
    damage_seconds = DAMAGE_SECONDS if is_left else None
    store = await open_database(config.database.url, folder, damage_seconds=damage_seconds)
    stack.push_async_callback(store.close)
    return store


def counters_of(redis: Redis, clock: Clock, turn: Turn, heritage: Heritage) -> Counters:
    """In memory, for one process; in Redis for many."""
    if not redis.url:
        return MemoryCounters(clock)
    try:
        address = parse_address(redis.url)
    except AddressError as error:
        raise StartRefused(f"[redis] url: {error}.") from None
    return RedisCounters(
        address,
        clock,
        turn.outbox,
        degraded=redis.degraded,
        expected_processes=redis.expected_processes,
        reply_seconds=redis.reply_seconds - MARGIN_SECONDS,
        heritage=heritage,
    )


async def fill(
    stack: AsyncExitStack,
    config: Config,
    store: SqlStore,
    counters: Counters,
    tiers: Mapping[str, Tier],
    clock: Clock,
) -> None:
    """Let them count, from what was used in the last minute on."""
    stack.callback(counters.close)
    eras = restart.eras_of(config.data, clock, is_shared=bool(config.database.url))
    await restart.fill(counters, store, tiers, clock.now_us(), eras)


async def catalogue_of(store: LaneStore) -> Catalogue:
    """With all its tokenizers made: one takes 100 ms, which no request is to wait for."""
    catalogue = await store.load_catalogue()
    for name in catalogue.tokenizers():
        tokenizers.load(name)
    return catalogue


async def books(
    stack: AsyncExitStack,
    config: Config,
    store: SqlStore,
    catalogue: Catalogue,
    clock: AdjustableClock,
) -> tuple[Quotas, JournalLedger, Recovered]:
    """The ledger, and the quotas that it charges: held in memory by one process, in the database
    by those that share one."""
    if not config.database.url:
        alone = MemoryQuotas(store)
        sink = QuotaSink(store, alone)
        ledger, recovered = await ledger_of(config.data, sink, catalogue, clock.now_us())
        stack.push_async_callback(close_ledger, ledger)
        return alone, ledger, recovered
    shared = SharedQuotas(store)
    sink = QuotaSink(store, shared)
    folder = identity(config.data)
    gone = partial(shared.end_of, folder)
    ledger, recovered = await ledger_of(config.data, sink, catalogue, clock.now_us(), gone)
    stack.push_async_callback(close_ledger, ledger)
    await shared.begin(folder, ledger.journal_name)
    stack.push_async_callback(shared.close)
    background(stack, "lost holds", keep_charging(store, sink, clock.now_us, ledger.spooled))
    return shared, ledger, recovered


async def ledger_of(
    folder: Path, sink: UsageSink, catalogue: Catalogue, now_us: int, gone: Gone = nothing
) -> tuple[JournalLedger, Recovered]:
    """With everything recorded that dead processes left. A large spool takes a while: whoever waits
    for the server should know for what."""
    numbers = {version.number: version.name for version in catalogue.versions.values()}

    def tell(progress: Progress) -> None:
        percent = 100 * progress.bytes_done // progress.bytes_all
        facts = {"file": progress.path.name, "records": progress.records, "percent": percent}
        _log.info("spool_replayed", facts)

    draining = {each.number for each in catalogue.versions.values() if each.drains}
    return await open_ledger(folder, sink, numbers, now_us, draining=draining, tell=tell, gone=gone)


@contextlib.contextmanager
def locked(folder: Path, url: str = "") -> Iterator[IO[str]]:
    """The data folder is one server's at a time (R14). Which process holds it stands in the file,
    and where people find it, for commands that make links."""
    with open(folder / "server.lock", "a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            process = file.readline().strip() or "unknown"
            raise HallBusy(
                f"A Keyhall server (process {process}) already runs on {folder}. "
                "Stop it first, or choose another folder with --data."
            ) from None
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n{url}\n")
        file.flush()
        yield file
