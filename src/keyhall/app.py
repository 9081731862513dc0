"""The composition root: the one file that knows every part. Read it to learn what exists."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from keyhall import __version__, tokenizers
from keyhall.api.app import web
from keyhall.api.health import Health
from keyhall.clock import AdjustableClock, SystemClock
from keyhall.config import Config
from keyhall.counters.memory import MemoryCounters
from keyhall.engines.sandbox.engine import SandboxEngine
from keyhall.engines.upstream.call import Deadlines
from keyhall.engines.upstream.engine import UpstreamEngine
from keyhall.engines.upstream.pool import Sizes
from keyhall.flows import first_run, restart, use_upstream
from keyhall.flows.callers import Callers
from keyhall.flows.first_run import FirstRun
from keyhall.flows.follow_changes import Follower, Reload
from keyhall.flows.hall import Hall
from keyhall.lane.protocol import lane_of
from keyhall.lane.state import LaneState
from keyhall.ledger.recovery import Recovered, open_ledger
from keyhall.policy.proxies import TrustedProxies
from keyhall.ports.engine import Engine
from keyhall.stores.pepper import load_peppers
from keyhall.stores.sql import SqlStore
from keyhall.stores.sqlite import open_store

ROLL_UP_SECONDS = 60.0


class HallBusy(Exception):
    """Another server runs on the data folder (R14)."""


@dataclass(slots=True)
class House:
    """A hall with everything around it: what `serve` runs and tests look into."""

    hall: Hall
    store: SqlStore
    lane_state: LaneState
    health: Health
    first: FirstRun
    recovered: Recovered
    notes: list[str] = field(default_factory=list)  # lines that start-up prints

    @property
    def protocol(self) -> type[asyncio.Protocol]:
        """The protocol class that uvicorn makes one of per connection."""
        return lane_of(self.hall, self.lane_state)


@asynccontextmanager
async def open_house(
    config: Config, url: str, clock: AdjustableClock | None = None
) -> AsyncIterator[House]:
    """Open the data folder, bring it up to date, and start everything but the listener.

    Raises HallBusy; what the store raises when it cannot be opened.
    """
    async with AsyncExitStack() as stack:
        config.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        stack.enter_context(locked(config.data))
        store = await open_store(config.data / "keyhall.db")
        stack.push_async_callback(store.close)
        peppers = load_peppers(config.data)
        clock = clock or SystemClock()
        clock.not_before(await store.newest_admitted_us())
        tiers = await first_run.sync_tiers(store, config.tiers, clock.now_us())
        first = await first_run.prepare(store, peppers, clock.now_us(), os.urandom)
        notes: list[str] = []
        engines = await open_engines(config, store, url, notes)
        stack.push_async_callback(close_engines, engines)
        await use_upstream.offer(store, engines, config.upstream_model, clock.now_us(), notes)
        catalogue = await store.load_catalogue()
        numbers = {version.number: version.name for version in catalogue.versions.values()}
        counters = MemoryCounters(clock)
        ledger, recovered = await open_ledger(config.data, store, numbers, clock.now_us())
        stack.push_async_callback(ledger.close)
        clock.not_before(await store.newest_admitted_us())
        await restart.rebuild(counters, store, tiers, clock.now_us())
        seen = await store.last_change()
        hall = Hall(
            clock=clock,
            store=store,
            counters=counters,
            ledger=ledger,
            callers=Callers(store, tiers, peppers, clock, url),
            catalogue=catalogue,
            engines=engines,
            tokenizer=tokenizers.load,
            url=url,
            body_bytes_max=config.server.body_bytes_max,
            trusted_proxies=proxies_of(config),
        )
        health = Health(hall, __version__)
        health.journal_problem = lambda: ledger.last_error
        house = House(hall, store, LaneState(), health, first, recovered, notes)
        follower = Follower(hall, seen, reload_engines(house, config), reload_tiers(house))
        background(stack, follower.run())
        background(stack, roll_up(store))
        house.lane_state.start()
        stack.callback(house.lane_state.stop)
        yield house


def application(house: House) -> object:
    """The ASGI application beside the lane."""
    return web(house.hall, house.health)


def background(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine until the stack closes."""
    task = asyncio.get_running_loop().create_task(work)

    async def stop() -> None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(stop)


async def roll_up(store: SqlStore) -> None:
    """Keep the rollups a minute behind the ledger at most."""
    while True:
        await asyncio.sleep(ROLL_UP_SECONDS)
        await store.roll_up()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[IO[str]]:
    """The data folder is one server's at a time (R14)."""
    with open(folder / "server.lock", "a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise HallBusy(
                f"A Keyhall server (process {file.read().strip() or 'unknown'}) already runs on "
                f"{folder}. Stop it first, or choose another folder with --data."
            ) from None
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield file


def proxies_of(config: Config) -> TrustedProxies | None:
    networks = config.server.trusted_proxies
    return TrustedProxies(networks) if networks else None


# --- Engines --------------------------------------------------------------------------------------


async def open_engines(
    config: Config, store: SqlStore, url: str, notes: list[str]
) -> dict[str, Engine]:
    """The sandbox, the engines that the operator added, and the one from the environment."""
    engines: dict[str, Engine] = {"sandbox": open_sandbox(config)}
    for record in await store.list_engines():
        key = config.environ.get(record.key_env or "", "")
        if record.key_env and not key:
            notes.append(f"Engine {record.name}: {record.key_env} is not set; it gets no key.")
        engines[record.name] = upstream(config, record.name, record.url, key)
    given = use_upstream.from_environment(config.upstream_key, config.upstream_url, url, notes)
    if given is not None and given.name not in engines:
        engines[given.name] = upstream(config, given.name, given.url, given.key.reveal())
    return engines


def open_sandbox(config: Config) -> SandboxEngine:
    words = tokenizers.load("o200k_base")
    return SandboxEngine(words.encode, words.decode_bytes, pace=config.sandbox.tokens_per_second)


def upstream(config: Config, name: str, url: str, key: str) -> UpstreamEngine:
    given = config.upstream
    return UpstreamEngine(
        name,
        url,
        key,
        deadlines=Deadlines(
            connect=given.connect_seconds,
            first_byte=given.first_byte_seconds,
            idle=given.idle_seconds,
        ),
        sizes=Sizes(connections=given.connections_max),
    )


async def close_engines(engines: Mapping[str, Engine]) -> None:
    for engine in engines.values():
        await engine.close()


def reload_engines(house: House, config: Config) -> Reload:
    """Engines were added or removed by a command: take the new table, close what is gone."""

    async def reload() -> None:
        old = dict(house.hall.engines)
        fresh = await open_engines(config, house.store, house.hall.url, [])
        house.hall.engines = {name: old.get(name, engine) for name, engine in fresh.items()}
        await close_engines({name: e for name, e in fresh.items() if name in old})
        await close_engines({name: e for name, e in old.items() if name not in fresh})

    return reload


def reload_tiers(house: House) -> Reload:
    async def reload() -> None:
        house.hall.callers.tiers_changed(await house.store.load_tiers())

    return reload
