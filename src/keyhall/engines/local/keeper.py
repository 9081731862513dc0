"""Keeps a model's process alive: starts it, watches it, starts it again.

The first restart is at once, each further one later (`policy/engines/backoff`). A file that is not
what was added, or that llama.cpp cannot load, is looked at again only when it has changed. A
process that hangs is ended: it answers on a connection of its own only between two steps of the
model.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from keyhall.engines.local import process as processes
from keyhall.engines.local.child import mark_of
from keyhall.engines.local.link import Link
from keyhall.engines.local.process import Mark, Process, StartFailed
from keyhall.engines.upstream.call import Call
from keyhall.policy.engines.backoff import STEADY_SECONDS, restart_seconds
from keyhall.ports.records import ModelRecord

# A step takes seconds on a slow machine, so that an answer may be late without anything being ill.
HANG_SECONDS = 30.0
PROBE_SECONDS = 2.0
LOOK_SECONDS = 5.0  # at a file that cannot be served, whether it has changed

Opened = Callable[[str, str], Link]
Closed = Callable[[], Awaitable[None]]

_log = logging.getLogger("keyhall")


class Keeper:
    def __init__(
        self,
        record: ModelRecord,
        log: Path,
        opened: Opened,
        closed: Closed,
        tick: Callable[[], None],
        hang_seconds: float = HANG_SECONDS,
    ) -> None:
        self._record = record
        self._path = log
        self._opened = opened
        self._closed = closed
        self._tick = tick
        self._hang_seconds = hang_seconds
        self._task: asyncio.Task[None] | None = None
        self._known: Mark | None = None  # of the file whose checksum was right
        self._settled = asyncio.Event()  # the first start has come to its end, either way
        self.process: Process | None = None
        self.is_starting = False
        self.trouble: str | None = "it is not started"
        self.wait_seconds = 1.0  # until it may be there again, as far as is known
        self.is_refused = False  # the file cannot be served, as long as it stays the same
        self.starts = 0

    def begin(self) -> None:
        if self._task is None:
            self.is_starting = True
            self.trouble = "it is being started"
            self._task = asyncio.get_running_loop().create_task(self._keep())

    async def settled(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._settled.wait()

    async def close(self) -> None:
        task, self._task = self._task, None
        self.trouble = "it is being closed"
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep(self) -> None:
        failures = 0
        loop = asyncio.get_running_loop()
        while True:
            begun_at = loop.time()
            refused: Mark | None = None
            try:
                why = await self._live()
            except StartFailed as failed:
                why, refused = str(failed), failed.mark
            failures = 1 if loop.time() - begun_at > STEADY_SECONDS else failures + 1
            wait = restart_seconds(failures)
            self.trouble, self.wait_seconds = why, max(wait, 1.0)
            _log.warning("engine_ended", {"engine": self._record.name, "why": why})
            self.is_starting, self.is_refused = False, refused is not None
            self._settled.set()
            self._tick()
            if refused is not None:
                await self._changed(refused)
            else:
                await asyncio.sleep(wait)

    async def _live(self) -> str:
        """One life of the process; how it ended. Raises StartFailed."""
        loop = asyncio.get_running_loop()
        self.is_starting, self.is_refused = True, False
        begun_at = loop.time()
        process = await processes.start(self._record, self._path, self._known)
        try:
            self.starts += 1
            self._known = process.ready.mark
            self.process, self.is_starting, self.trouble = process, False, None
            facts: dict[str, object] = {
                "engine": self._record.name,
                "process": process.pid,
                "seconds": round(loop.time() - begun_at, 3),
                "isolated": not process.ready.has_network,
            }
            _log.info("engine_started", facts)
            link = self._opened(process.socket, process.token)
            self._settled.set()
            return await self._watch(process, link)
        finally:
            self.process, self.trouble = None, "it has ended and is started again"
            try:
                await process.end()
            finally:
                await self._closed()

    async def _watch(self, process: Process, link: Link) -> str:
        """Until it ends or hangs; which."""
        ended = asyncio.ensure_future(process.wait())
        hangs = asyncio.ensure_future(self._probe(link))
        try:
            await asyncio.wait((ended, hangs), return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return f"its process {ended.result()}"
            return hangs.result()
        finally:
            for task in (ended, hangs):
                task.cancel()
            await asyncio.gather(ended, hangs, return_exceptions=True)

    async def _probe(self, link: Link) -> str:
        """Ask again and again whether it lives; return when it does not."""
        while True:
            await asyncio.sleep(min(PROBE_SECONDS, self._hang_seconds / 2))
            self._tick()
            call = link.probe()
            try:
                async with asyncio.timeout(self._hang_seconds):
                    await _over(call)
            except TimeoutError:
                return f"its process did not answer for {self._hang_seconds:g} s"
            finally:
                call.signal.disarm()
                if not call.is_over:
                    link.probes.forget(call)
                    call.leave()

    async def _changed(self, mark: Mark) -> None:
        """Wait until the file is another."""
        self.wait_seconds = LOOK_SECONDS
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            with contextlib.suppress(OSError):
                if mark_of(self._record.path) != mark:
                    return


async def _over(call: Call) -> None:
    while not call.is_over:
        woken = asyncio.Event()
        call.signal.arm(woken.set)
        await woken.wait()
