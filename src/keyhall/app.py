"""The composition root: the one file that knows every part. Read it to learn what exists."""

import asyncio
import contextlib
import fcntl
import logging
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

from keyhall import tokenizers
from keyhall.api.health import Health
from keyhall.chores import anchoring, background, close_ledger, keep_words, note_last_use, roll_up
from keyhall.clock import AdjustableClock, Clock, SystemClock
from keyhall.config import Config, Redis
from keyhall.counters.memory import MemoryCounters
from keyhall.counters.quotas import MemoryQuotas, QuotaSink
from keyhall.counters.redis.address import AddressError
from keyhall.counters.redis.address import parse as parse_address
from keyhall.counters.redis.connection import MARGIN_SECONDS
from keyhall.counters.redis.counters import RedisCounters
from keyhall.counters.redis.telling import Heritage
from keyhall.counters.shared_quotas import SharedQuotas
from keyhall.engines.upstream.address import Endpoint
from keyhall.flows import first_run, restart
from keyhall.flows.alerts import tell
from keyhall.flows.callers import Callers
from keyhall.flows.drain import Drains
from keyhall.flows.engines import use_upstream
from keyhall.flows.engines.run_engines import Engines
from keyhall.flows.filters import counts, operators
from keyhall.flows.filters.table import Filters
from keyhall.flows.first_run import FirstRun
from keyhall.flows.follow_changes import Follower, Reload
from keyhall.flows.hall import Hall
from keyhall.flows.lost_holds import keep_charging
from keyhall.flows.manage.checks import Refused
from keyhall.flows.observe import refusals
from keyhall.flows.observe.request_log import RequestLog
from keyhall.flows.verify.anchors import Anchors
from keyhall.lane.protocol import lane_of
from keyhall.lane.state import LaneState
from keyhall.ledger.files import identity
from keyhall.ledger.journal import JournalError
from keyhall.ledger.ledger import JournalLedger
from keyhall.ledger.recovery import Gone, Progress, Recovered, nothing, open_ledger
from keyhall.ledger.spool import PATTERN as SPOOLS
from keyhall.policy.catalogue import Catalogue
from keyhall.policy.proxies import TrustedProxies
from keyhall.policy.secrets import Secret
from keyhall.policy.tiers import Tier
from keyhall.ports.counters import Counters, CountersUnfit
from keyhall.ports.ledger import UsageSink
from keyhall.ports.quotas import Quotas
from keyhall.ports.store import LaneStore, StoreAway
from keyhall.stores.migrate import SchemaUnfit
from keyhall.stores.opening import open_database
from keyhall.stores.pepper import PepperRefused
from keyhall.stores.sql import SqlStore
from keyhall.turn import Turn

DAMAGE_SECONDS = 2.0  # A restart is to be ready in 5 s; `keyhall doctor` looks at the whole file.
HOP_BYTES = 16

_log = logging.getLogger("keyhall")


class StartRefused(Exception):
    """Why the hall cannot be opened, and what to do: one or two sentences for the operator."""


class HallBusy(StartRefused):
    """Another server runs on the data folder (R14)."""


@dataclass(slots=True)
class House:
    """A hall with everything around it: what `serve` runs and tests look into."""

    hall: Hall
    store: SqlStore
    engines: Engines
    lane_state: LaneState
    health: Health
    first: FirstRun
    recovered: Recovered
    peppers: tuple[bytes, ...]
    notes: list[str] = field(default_factory=list)  # lines that start-up prints
    set_up: Secret | None = None  # the link that makes the first account, while nobody has one

    @property
    def protocol(self) -> type[asyncio.Protocol]:
        """The protocol class that uvicorn makes one of per connection."""
        return lane_of(self.hall, self.lane_state)


@asynccontextmanager
async def open_house(
    config: Config,
    url: str,
    clock: AdjustableClock | None = None,
    own: Sequence[Endpoint] = (),
    worker: int | None = None,
    *,
    is_alone: bool = False,
) -> AsyncIterator[House]:
    """Open the data folder, bring it up to date, and start everything but the listener. `own` are
    the addresses that it will listen on; `worker` is our number among several on the folder, which
    their parent holds; `is_alone` if it has not started the others. Raises StartRefused."""
    async with AsyncExitStack() as stack:
        try:
            clock = clock or SystemClock()
            house = await _open(stack, config, url, clock, own, worker, is_alone)
            house.lane_state.start()
            stack.callback(house.lane_state.stop)
        except (Refused, PepperRefused, SchemaUnfit, JournalError, CountersUnfit) as error:
            raise StartRefused(str(error)) from error
        except StoreAway as error:
            words = str(error)
            is_sentence = words.endswith(".")
            raise StartRefused(words if is_sentence else f"The database fails: {words}.") from error
        except FileExistsError as error:
            said = f"{error.filename} is a file, not a folder: choose another place with --data."
            raise StartRefused(said) from error
        except OSError as error:
            where = error.filename or config.data
            raise StartRefused(f"{where}: {error.strerror or error}.") from error
        yield house


async def _open(
    stack: AsyncExitStack,
    config: Config,
    url: str,
    clock: AdjustableClock,
    own: Sequence[Endpoint],
    worker: int | None,
    is_alone: bool,
) -> House:
    store = await store_of(stack, config, holds_folder=worker is None, url=url)
    anchors = anchoring(stack, store, clock)
    peppers = await first_run.peppers_of(store, config.keys.pepper, config.data)
    clock.not_before(await store.newest_admitted_us())
    tiers = await first_run.sync_tiers(store, config.tiers, clock.now_us())
    first = await first_run.prepare(store, peppers, clock.now_us(), os.urandom)
    seen = await store.last_change()  # Before anything is read that may change from here on.
    turn = Turn()
    engines = engines_of(config, url, own, turn, worker)
    stack.push_async_callback(engines.close)
    engines.refresh(await store.list_engines(), await store.list_models())
    given, wanted = engines.of_environment, config.upstream_model
    offered = await use_upstream.offer(store, given, wanted, clock.now_us(), engines.models)
    catalogue = await catalogue_of(store)
    quotas, ledger, recovered = await books(stack, config, store, catalogue, clock)
    clock.not_before(await store.newest_admitted_us())
    heritage = restart.heritage_of(
        config.data, ledger, recovered, is_shared=bool(config.redis.url), is_alone=is_alone
    )
    counters = counters_of(config.redis, clock, turn, heritage)
    await fill(stack, config, store, counters, tiers, clock)
    filters = await filters_of(store, config)
    callers = Callers(store, tiers, peppers, clock, url, filters)
    stack.push_async_callback(note_last_use, store, callers)
    hall = Hall(
        clock=clock,
        store=store,
        counters=counters,
        quotas=quotas,
        ledger=ledger,
        callers=callers,
        catalogue=catalogue,
        engines=engines.table,
        tokenizer=tokenizers.load,
        url=url,
        turn=turn,
        drains=Drains(config.server.drain_seconds),
        hop=engines.hop.encode(),
        worker=worker,
        filters=filters,
        **as_configured(config, clock),
    )
    hall.breakers.keep(engines.table, engines.drained)
    health = Health(hall, ledger.problem, ledger.delay)
    notes = engines.told(catalogue, clock.now_us()) + offered.notes + shared_notes(config)
    house = House(hall, store, engines, LaneState(url), health, first, recovered, peppers, notes)
    keep_up(stack, house, seen, config, anchors)
    if given is not None and not offered.is_complete:
        later = use_upstream.keep_offering(store, engines, given, wanted, clock.now_us)
        background(stack, "offer models", later)
    return house


def engines_of(
    config: Config, url: str, own: Sequence[Endpoint], turn: Turn, worker: int | None
) -> Engines:
    hop = os.urandom(HOP_BYTES).hex()
    return Engines(config, url=url, own=own, hop=hop, turn=turn, worker=worker)


def as_configured(config: Config, clock: AdjustableClock) -> dict[str, Any]:
    """What of a hall is only a setting."""
    networks, said = config.server.trusted_proxies, config.log.requests
    return {
        "body_bytes_max": config.server.body_bytes_max,
        "trusted_proxies": TrustedProxies(networks) if networks else None,
        "failed_requests": RequestLog(clock) if said == "errors" else None,
        "every_request": RequestLog(clock) if said == "all" else None,
    }


async def filters_of(store: SqlStore, config: Config) -> Filters:
    """The operator's rules, and those that are kept. Raises FilterUnfit."""
    filters = Filters(await asyncio.to_thread(operators.rules_of, config.filter))
    filters.take(await store.load_rules())
    return filters


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


def shared_notes(config: Config) -> list[str]:
    """What other machines on the same database will miss."""
    if not config.database.url or config.keys.pepper:
        return []
    return [
        f"Other machines on this database need a copy of {config.data / 'pepper'},",
        "or all of them the same KEYHALL_KEYS_PEPPER: without it no key works there.",
    ]


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


# --- In the background ----------------------------------------------------------------------------


def keep_up(
    stack: AsyncExitStack, house: House, seen: int, config: Config, anchors: Anchors
) -> None:
    """Follow what commands change behind the change numbered `seen`; sum up what was used, anchor
    its chain, and tell who is to be told."""
    hall, days_max = house.hall, config.privacy.retention_days_max
    keep_words(stack, hall, house.store, house.peppers, days_max)
    stack.push_async_callback(hall.drains.close)
    follower = Follower(hall, seen, reload_engines(house), reload_tiers(house))
    background(stack, "follow changes", follower.run())
    background(stack, "roll up", roll_up(house.store))
    background(stack, "anchor chains", anchors.keep())
    noting = refusals.keep(hall, house.store, config.console.refusals_days)
    background(stack, "keep refusals", noting)
    background(stack, "count hits", counts.keep(house.hall.filters, house.store))
    channels = tell.channels_of(config.alerts)
    if channels:
        teller = tell.Teller(house.store, channels, hall.clock)
        background(stack, "tell alerts", teller.run())


def reload_engines(house: House) -> Reload:
    """Engines or models were added or removed by a command."""

    async def reload() -> None:
        engines = house.engines
        engines.refresh(await house.store.list_engines(), await house.store.list_models())
        house.hall.engines = engines.table
        house.hall.breakers.keep(engines.table, engines.drained)
        _log.info("engines_changed", {"engines": list(engines.table)})
        for note in engines.notes:
            _log.warning("engine_note", {"note": note})

    return reload


def reload_tiers(house: House) -> Reload:
    async def reload() -> None:
        house.hall.callers.tiers_changed(await house.store.load_tiers())

    return reload
