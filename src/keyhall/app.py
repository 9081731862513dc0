"""The composition root: the one file that knows every part. Read it to learn what exists."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from keyhall import tokenizers
from keyhall.api.health import Health
from keyhall.chores import anchoring, background, keep_words, note_last_use, roll_up
from keyhall.clock import AdjustableClock, Clock, SystemClock
from keyhall.config import Config
from keyhall.engines.upstream.address import Endpoint
from keyhall.flows import first_run, restart
from keyhall.flows.alerts.tellers import tellers
from keyhall.flows.callers import Callers
from keyhall.flows.drain import Drains
from keyhall.flows.engines import use_upstream
from keyhall.flows.engines.run_engines import Engines
from keyhall.flows.engines.use_upstream import Offered
from keyhall.flows.filters import counts, operators
from keyhall.flows.filters.policies import Policies
from keyhall.flows.first_run import FirstRun
from keyhall.flows.follow_changes import Follower, Reload
from keyhall.flows.hall import Hall
from keyhall.flows.leaks import wandering
from keyhall.flows.leaks.desk import leaks_of, watch_of
from keyhall.flows.manage.checks import Refused
from keyhall.flows.observe import refusals
from keyhall.flows.observe.request_log import RequestLog
from keyhall.flows.verify.anchors import Anchors
from keyhall.lane.protocol import lane_of
from keyhall.lane.state import LaneState
from keyhall.ledger.journal import JournalError
from keyhall.ledger.recovery import Recovered
from keyhall.parts import (
    StartRefused,
    books,
    catalogue_of,
    counters_of,
    fill,
    store_of,
)
from keyhall.policy.proxies import TrustedProxies
from keyhall.policy.secrets import Secret
from keyhall.ports.counters import CountersUnfit
from keyhall.ports.store import StoreAway
from keyhall.stores.migrate import SchemaUnfit
from keyhall.stores.pepper import PepperRefused
from keyhall.stores.sql import SqlStore
from keyhall.turn import Turn

HOP_BYTES = 16

_log = logging.getLogger("keyhall")


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
    await engines.load(store)
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
    filters = await operators.filters_of(store, config.filter)
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
        policies=Policies(store, filters.settings),
        **as_configured(config, clock, store, peppers),
    )
    hall.breakers.keep(engines.table, engines.drained)
    health = Health(hall, ledger.problem, ledger.delay)
    notes = engines.told(catalogue, clock.now_us()) + offered.notes + shared_notes(config)
    house = House(hall, store, engines, LaneState(url), health, first, recovered, peppers, notes)
    keep_up(stack, house, seen, config, anchors)
    offer_later(stack, config, house, offered, clock)
    house.lane_state.start()
    stack.callback(house.lane_state.stop)
    return house


def offer_later(
    stack: AsyncExitStack, config: Config, house: House, offered: Offered, clock: Clock
) -> None:
    """An upstream that did not tell its models is asked again."""
    given, wanted = house.engines.of_environment, config.upstream_model
    if given is not None and not offered.is_complete:
        later = use_upstream.keep_offering(house.store, house.engines, given, wanted, clock.now_us)
        background(stack, "offer models", later)


def engines_of(
    config: Config, url: str, own: Sequence[Endpoint], turn: Turn, worker: int | None
) -> Engines:
    hop = os.urandom(HOP_BYTES).hex()
    return Engines(config, url=url, own=own, hop=hop, turn=turn, worker=worker)


def as_configured(
    config: Config, clock: AdjustableClock, store: SqlStore, peppers: Sequence[bytes]
) -> dict[str, Any]:
    """What of a hall is only a setting, or is there if one says so."""
    networks, said = config.server.trusted_proxies, config.log.requests
    return {
        "body_bytes_max": config.server.body_bytes_max,
        "trusted_proxies": TrustedProxies(networks) if networks else None,
        "failed_requests": RequestLog(clock) if said == "errors" else None,
        "every_request": RequestLog(clock) if said == "all" else None,
        "leaks": leaks_of(config.leaks, store, clock),
        "watch": watch_of(config.wander, peppers[0]),
    }


def shared_notes(config: Config) -> list[str]:
    """What other machines on the same database will miss."""
    if not config.database.url or config.keys.pepper:
        return []
    return [
        f"Other machines on this database need a copy of {config.data / 'pepper'},",
        "or all of them the same KEYHALL_KEYS_PEPPER: without it no key works there.",
    ]


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
    if hall.watch is not None:
        background(stack, "watch keys", wandering.keep(hall, hall.watch, house.store))
    for name, work in tellers(config.alerts, house.store, hall):
        background(stack, name, work)
    background(stack, "count hits", counts.keep(hall.filters, house.store))


def reload_engines(house: House) -> Reload:
    """Engines or models were added or removed by a command."""

    async def reload() -> None:
        engines = house.engines
        await engines.load(house.store)
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
