"""Opening the data folder for one command, and turning refusals into a sentence and a status.

0: done. 1: refused, with one or two sentences on standard error. 2: the command line itself is
wrong. What a first start would need may come before it: `keys create`, `engines add` and
`versions add` prepare a folder that no server has seen. All others take it for a mistyped one.
"""

import asyncio
import functools
import os
import pwd
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, ParamSpec, TypedDict, TypeVar

import click

from keyhall.cli.options import fail, load_config
from keyhall.clock import Clock, SystemClock
from keyhall.config import Config
from keyhall.flows import first_run
from keyhall.flows.manage.checks import Refused
from keyhall.policy.tiers import BUILT_IN, Tier
from keyhall.ports.records import Actor
from keyhall.ports.store import StoreAway
from keyhall.stores.migrate import NothingThere, SchemaUnfit
from keyhall.stores.opening import open_database
from keyhall.stores.pepper import PepperRefused
from keyhall.stores.sql import SqlStore

Given = ParamSpec("Given")
Found = TypeVar("Found")


class By(TypedDict):
    """Who acts, and when: every act of `flows.manage` takes these."""

    actor: Actor
    now_us: int


@dataclass(frozen=True, slots=True)
class House:
    """The open data folder, for the time of one command."""

    config: Config
    store: SqlStore
    peppers: tuple[bytes, ...]
    tiers: Mapping[str, Tier]
    by: By
    clock: Clock

    @property
    def now_us(self) -> int:
        return self.by["now_us"]


class NoData(Refused):
    """Nothing was ever kept in the folder that was named."""


@asynccontextmanager
async def open_house(config: Config, *, prepares: bool) -> AsyncIterator[House]:
    if prepares:
        config.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        opened = await open_database(config.database.url, config.data, makes=prepares)
    except NothingThere as error:
        advice = "look at [database] url" if config.database.url else "name its folder with --data"
        raise NoData(
            f"There is no Keyhall data in {error}: {advice}. "
            "`keyhall serve` or `keyhall keys create` makes a new one."
        ) from None
    config.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    clock = SystemClock()
    async with opened as store:
        peppers = await first_run.peppers_of(store, config.keys.pepper, config.data)
        now_us = clock.now_us()
        await first_run.prepare_without_key(store, peppers, now_us, os.urandom)
        # The server's settings may name tiers that this shell's do not, and the other way round.
        tiers = {**BUILT_IN, **await store.load_tiers(), **config.tiers}
        by = By(actor=Actor(f"operator:{_user()}", "command line"), now_us=now_us)
        yield House(config, store, peppers, tiers, by, clock)


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # A container's user often has no name.
        return f"uid {os.getuid()}"


class Where(TypedDict):
    """The options that say which hall is meant."""

    data: str | None
    config: str | None


def act(
    where: Where, work: Callable[[House], Awaitable[Found]], *, prepares: bool = False
) -> Found:
    """Open the house, do the work, close it; refusals become a sentence and status 1. `prepares`:
    a folder without data gets what it needs, first."""
    config = load_config(where["data"], where["config"])

    async def inside() -> Found:
        async with open_house(config, prepares=prepares) as house:
            return await work(house)

    return _done(config, inside())


def on_database(where: Where, work: Callable[[SqlStore], Awaitable[Found]]) -> Found:
    """As `act`, on the database alone and whatever its schema."""
    config = load_config(where["data"], where["config"])

    async def inside() -> Found:
        config.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        async with await open_database(config.database.url, config.data, as_it_is=True) as store:
            return await work(store)

    return _done(config, inside())


def _done(config: Config, work: Coroutine[Any, Any, Found]) -> Found:
    try:
        return asyncio.run(work)
    except (Refused, PepperRefused, SchemaUnfit, StoreAway) as error:
        fail(str(error))
    except PermissionError as error:
        fail(f"{error.filename}: {error.strerror}. Whoever runs the server may run its commands.")
    except FileExistsError as error:
        fail(f"{error.filename} is a file, not a folder: choose another place with --data.")
    except OSError as error:
        fail(f"{error.filename or config.data}: {error.strerror or error}.")


def options(command: Callable[..., None]) -> Callable[..., None]:
    """`--data` and `--config`, handed on as one `where`; and `--json`."""

    @click.option("--data", metavar="DIR", help="Data folder.")
    @click.option("--config", metavar="FILE", help="Settings file.")
    @click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
    @functools.wraps(command)
    def with_where(*args: Any, data: str | None, config: str | None, **given: Any) -> None:
        command(*args, where=Where(data=data, config=config), **given)

    return with_where
