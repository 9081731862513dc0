"""One simulated process: the real journal, ledger, recovery, counters and rebuild, on the shared
folder and sink of its world. It starts as `app.py` starts, and dies at any of its steps.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from simulator.parts import Fuse, Fused, Killed, MachineClock, Sink, Wall

from keyhall.clock import Clock
from keyhall.flows import restart
from keyhall.ledger import eras
from keyhall.ledger.journal import Journal, JournalLocked, open_journal
from keyhall.ledger.ledger import JournalLedger
from keyhall.ledger.recovery import adopt_folder, adopt_spools
from keyhall.policy.tiers import Tier
from keyhall.ports.counters import Counters

State = Literal["down", "starting", "up", "dying"]
VERSION_NUMBER, VERSION = 7, "v1-sandbox-1"
CounterFactory = Callable[[Clock], Counters]


class Worker:
    """`make_counters` makes the counters at each start: memory, or what all processes share."""

    def __init__(
        self,
        number: int,
        folder: Path,
        wall: Wall,
        sink: Sink,
        make_counters: CounterFactory,
        tiers: Mapping[str, Tier],
        *,
        slots: int,
        batch_rows: int,
        is_alone: bool,
    ) -> None:
        self.number = number
        self.state: State = "down"
        self._folder = folder
        self._wall = wall
        self._sink = sink
        self._make_counters = make_counters
        self._tiers = tiers
        self._slots = slots
        self._batch_rows = batch_rows
        self._is_alone = is_alone  # on its folder
        self._starting: asyncio.Task[None] | None = None
        self._beside: set[asyncio.Task[None]] = set()
        self.fuse = Fuse()
        self.clock: MachineClock | None = None
        self.jumped_at_us = -1  # real time of the last such start beside others
        self.counters: Counters
        self.ledger: JournalLedger | None = None
        self.journal: Journal | None = None
        self.failed_starts = 0

    def start(self) -> None:
        """Begin to start; `state` is `up` once it is done, `down` again if it failed."""
        assert self.state == "down"
        self.state = "starting"
        self._starting = asyncio.get_running_loop().create_task(self._start())

    async def _start(self) -> None:
        try:
            await self._open()
        except Exception:  # As `serve` refuses to start while the database is away.
            self.failed_starts += 1
            await self.crash()

    async def _open(self) -> None:
        sink, clock = self._sink, MachineClock(self._wall)
        clock.not_before(await sink.newest_admitted_us())
        versions = {VERSION_NUMBER: VERSION}
        recovered = await adopt_spools(self._folder, sink, clock.now_us())
        recovered += await adopt_folder(self._folder, sink, versions, clock.now_us())
        assert not recovered.damaged, recovered
        assert not recovered.lost, recovered
        self.fuse, self.ledger = Fuse(), None
        self.journal = self._open_journal()
        self.journal.memory = Fused(self.journal.memory, self.fuse)  # type: ignore[assignment]
        self.journal.words = Fused(self.journal.words, self.fuse)  # type: ignore[assignment]
        self.ledger = JournalLedger(self.journal, sink, batch_rows=self._batch_rows)
        self.ledger.start()
        clock.not_before(await sink.newest_admitted_us())
        counters = self._make_counters(clock)
        known = eras.begin(self._folder, clock, "boot") if self._is_alone else eras.Eras()
        await restart.rebuild(counters, sink, self._tiers, clock.now_us(), known)  # type: ignore[arg-type]
        if not self._is_alone and self.clock is not None and clock.base_us > self.clock.base_us:
            self.jumped_at_us = self._wall.uptime_us()
        self.clock, self.counters = clock, counters
        self.state = "up"

    def _open_journal(self) -> Journal:
        """The first that no other process has."""
        number = 1
        while True:
            try:
                return open_journal(self._folder / f"journal-{number}.bin", slots=self._slots)
            except JournalLocked:
                number += 1

    def flush(self) -> None:
        """Ask for a flush beside the one of the ledger's own task."""

        async def flush() -> None:
            with contextlib.suppress(Exception, Killed):
                await self.ledger.flush()

        task = asyncio.get_running_loop().create_task(flush())
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    async def stop(self) -> None:
        """A good stop; what the sink does not take stays in the journal."""
        self.state = "dying"
        with contextlib.suppress(Killed):
            await self.ledger.close()
        if self.fuse.is_blown:  # It was killed while it stopped.
            await self.crash()
        self.journal = None
        self.state = "down"

    async def crash(self) -> None:
        """From now on nothing of it runs; its journal stays as it is at this instant."""
        self.state = "dying"
        self.fuse.writes_left, self.fuse.is_blown = 0, True
        tasks = {self._starting, *self._beside} - {None, asyncio.current_task()}
        if self.journal is not None and self.ledger is not None:
            tasks.add(self.ledger._task)
        for task in tasks:
            assert task is not None
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)  # type: ignore[arg-type]
        if self.journal is not None:
            self.journal.close()
            self.journal = None
        if self.ledger is not None:
            self.ledger._spool.close()
        self.state = "down"
