"""A whole server inside the test's own event loop: the real parts on a real loopback socket.

Time is a `ManualClock`, so hours of limits pass in milliseconds; streams go as fast as they are
read. `crash` gives what a kill would leave: the data folder as it is at that instant.
"""

import asyncio
import os
import shutil
import socket
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import uvicorn
from patience import PATIENCE_SECONDS
from plain_http import Line

from keyhall import app
from keyhall.app import House
from keyhall.cli import serve
from keyhall.clock import ManualClock
from keyhall.config import Config, Models, Sandbox, Upstream
from keyhall.flows.hall import Hall
from keyhall.flows.manage import keys, organizations
from keyhall.flows.manage.keys import Fresh, NewKey
from keyhall.policy.limits import NO_LIMITS, Limits
from keyhall.policy.tiers import Tier
from keyhall.ports.records import Actor, Project
from keyhall.stores.pepper import load_peppers

TESTER = Actor("tester", "tests")
ROOMY = Tier("roomy", NO_LIMITS, 4096)


@dataclass(slots=True)
class Inside:
    """A running server and ways to look into it."""

    house: House
    port: int
    data: Path
    clock: ManualClock
    lines: list[Line] = field(default_factory=list)

    @property
    def hall(self) -> Hall:
        return self.house.hall

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def line(self) -> Line:
        """A connection; closed with the server at the latest."""
        line = await Line.to(self.port)
        self.lines.append(line)
        return line

    async def make_key(self, name: str = "test", **options: Any) -> Fresh:
        """A key, known to the server at once."""
        fresh = await keys.create(
            self.house.store,
            NewKey(name, **({"tier": "roomy"} | options)),
            tiers=(await self.house.store.load_tiers()).keys(),
            pepper=load_peppers(self.data)[0],
            entropy=os.urandom(128),
            actor=TESTER,
            now_us=self.clock.now_us(),
        )
        self.hall.callers._unknown.clear()
        return fresh

    async def make_project(self, name: str, limits: Limits) -> Project:
        made = await organizations.create_project(
            self.house.store,
            name,
            organization=None,
            entropy=os.urandom(128),
            actor=TESTER,
            now_us=self.clock.now_us(),
        )
        return await organizations.change_project(
            self.house.store,
            made.id,
            lambda project: replace(project, limits=limits),
            action="project.limits",
            actor=TESTER,
            now_us=self.clock.now_us(),
        )

    async def until_open(self, count: int) -> None:
        """Wait until so many holds are open: a client that left is noticed a moment later."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.hall.counters.open_holds() != count:
                await asyncio.sleep(0)

    async def usage(self) -> list[sqlite3.Row]:
        """All usage rows, flushed, oldest first."""
        await self.hall.ledger.flush()
        return usage_rows(self.data)

    async def crash(self, into: Path) -> Path:
        """The data folder as a kill at this instant leaves it, copied. Nobody writes meanwhile."""
        async with self.house.store.writing():
            shutil.copytree(self.data, into)
        return into


@asynccontextmanager
async def open_inside(
    data: Path,
    clock: ManualClock,
    *,
    tiers: Mapping[str, Tier] | None = None,
    pace: int = 0,
    upstream: Upstream | None = None,
    has_house_model: bool = False,
    environ: Mapping[str, str] | None = None,
    **sections: Any,
) -> AsyncIterator[Inside]:
    """Everything that `keyhall serve` opens, without its process, signals and words. `sections`
    are more of the settings: `server=Server(...)`, `log=Log(...)`."""
    config = Config(
        data=data,
        sandbox=Sandbox(tokens_per_second=pace),
        models=Models(house=has_house_model),
        upstream=upstream or Upstream(),
        tiers={ROOMY.name: ROOMY, **(tiers or {})},
        environ=dict(environ or {}),
        **sections,
    )
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        port = listener.getsockname()[1]
        own = ("127.0.0.1", port)
        async with app.open_house(config, serve.url_of(config.server, port), clock, [own]) as house:
            server = uvicorn.Server(serve.uvicorn_config(config, house))
            server.config.load()
            server.lifespan = server.config.lifespan_class(server.config)
            await server.startup(sockets=[listener])
            inside = Inside(house, port, data, clock)
            try:
                yield inside
            finally:
                for line in inside.lines:
                    await line.close()
                for connection in list(house.lane_state.connections):
                    connection.transport.abort()
                for listening in server.servers:  # Its own shutdown waits 100 ms for nothing.
                    listening.close()
                await asyncio.sleep(0)


def usage_rows(data: Path) -> list[sqlite3.Row]:
    """The usage table of a data folder, oldest admission first."""
    connection = sqlite3.connect(data / "keyhall.db")
    try:
        connection.row_factory = sqlite3.Row
        return connection.execute("SELECT * FROM usage ORDER BY admitted_at_us, number").fetchall()
    finally:
        connection.close()
