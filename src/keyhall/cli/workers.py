"""`keyhall serve --workers N`: one parent that keeps N processes serving on one socket (R7).

The parent holds the data folder and the listening socket, and serves nobody. Workers are started
as programs of their own, not forked: nothing of one process is in another. A worker that dies is
started again at once, and later and later if it keeps dying; the new one adopts its journal, so
nothing is lost. Signals go to the parent, which passes them on. Workers hold the other end of a
pipe, and stop by themselves when the parent is gone.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from keyhall import logs, parts
from keyhall.config import Config

STEADY_SECONDS = 10.0  # who has lived so long is started again at once
DELAY_SECONDS = 0.2
DELAY_SECONDS_MAX = 3.0

_PROGRAM = "from keyhall.cli.worker import main; main()"
_log = logging.getLogger("keyhall")


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is told on its standard input, as one line of JSON."""

    number: int
    shows_banner: bool
    listener: int
    opened: int  # the pipe that it writes a byte to when it is open
    is_alone: bool  # nobody else counts yet
    data: str | None
    config: str | None
    overrides: Mapping[str, Mapping[str, Any]]


def refusal(config: Config) -> str | None:
    """Why these settings cannot be served by several workers, and what to set."""
    missing = [
        f"{what} ({variable})"
        for what, variable, given in (
            ("PostgreSQL", "KEYHALL_DATABASE_URL", config.database.url),
            ("Redis or Valkey", "KEYHALL_REDIS_URL", config.redis.url),
        )
        if not given
    ]
    if not missing:
        return None
    return (
        f"{config.server.workers} workers need {' and '.join(missing)}: without, each would keep "
        "keys, limits and usage of its own. Set what is missing, or serve with one worker."
    )


class Workers:
    """The parent's work, until it is told to stop."""

    def __init__(self, count: int, listener: socket.socket, order: Callable[..., Orders]) -> None:
        self._count = count
        self._listener = listener
        self._order = order
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._is_stopping = asyncio.Event()
        self._failures = 0

    async def run(self) -> int:
        """The exit status: 0 if every worker settled what it had and stopped as it was told."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        first = asyncio.create_task(self._keep(1, opened := asyncio.Event()))
        opening = asyncio.create_task(opened.wait())
        await asyncio.wait({first, opening}, return_when=asyncio.FIRST_COMPLETED)
        opening.cancel()
        others = [asyncio.create_task(self._keep(number)) for number in range(2, self._count + 1)]
        await asyncio.gather(first, *([] if first.done() else others))
        for other in others:
            other.cancel()
        return 1 if self._failures else 0

    def _stop(self) -> None:
        """Pass it on: the first time workers let their answers end, the second time they do not."""
        if not self._is_stopping.is_set():
            _log.info("stopping", {"workers": len(self._running)})
        self._is_stopping.set()
        for process in list(self._running.values()):
            with contextlib.suppress(ProcessLookupError):
                process.terminate()

    async def _keep(self, number: int, opened: asyncio.Event | None = None) -> None:
        """Start a worker again whenever it ends, until all are to stop. The first start of the
        first one decides whether there is a server at all."""
        now = asyncio.get_running_loop().time
        delay = DELAY_SECONDS
        while not self._is_stopping.is_set():
            began = now()
            status = await self._live(number, opened)
            if self._is_stopping.is_set():
                # A worker that had not opened yet knows no better than to die of the signal.
                self._failures += status not in (0, -signal.SIGTERM)
                return
            if opened is not None and not opened.is_set():
                self._failures += 1
                return  # It has said why.
            delay = DELAY_SECONDS if now() - began > STEADY_SECONDS else delay
            _log.error("worker_died", {"worker": number, "status": status, "again_in": delay})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._is_stopping.wait()
            delay = min(2 * delay, DELAY_SECONDS_MAX)

    async def _live(self, number: int, opened: asyncio.Event | None) -> int:
        """One life of a worker; its exit status."""
        shows_banner = opened is not None and not opened.is_set()
        try:
            pipe, theirs = os.pipe()
        except OSError as error:
            return _not_started(error)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                _PROGRAM,
                stdin=asyncio.subprocess.PIPE,
                pass_fds=(self._listener.fileno(), theirs),
                start_new_session=True,  # Ctrl-C goes to the parent alone.
            )
        except OSError as error:
            os.close(pipe)
            return _not_started(error)
        finally:
            os.close(theirs)
        self._running[number] = process
        loop = asyncio.get_running_loop()

        def told() -> None:
            loop.remove_reader(pipe)
            if os.read(pipe, 1) and opened is not None:
                opened.set()

        loop.add_reader(pipe, told)
        try:
            assert process.stdin is not None
            orders = self._order(number=number, shows_banner=shows_banner, opened=theirs)
            fields = {name: getattr(orders, name) for name in Orders.__slots__}
            process.stdin.write(json.dumps(fields).encode() + b"\n")
            if self._is_stopping.is_set():
                process.terminate()
            return await process.wait()
        finally:
            loop.remove_reader(pipe)
            os.close(pipe)
            del self._running[number]


def _not_started(error: OSError) -> int:
    """The system has no process, memory or file left for another worker just now: those that run
    go on, and it is tried again as if this one had died at once."""
    _log.error("worker_not_started", {"reason": error.strerror or str(error)})
    return 1


def serve_many(
    config: Config,
    listener: socket.socket,
    url: str,
    data: str | None,
    path: str | None,
    overrides: Mapping[str, Mapping[str, Any]],
) -> int:
    """Keep the workers going until a signal; the exit status. Raises StartRefused."""
    count = config.server.workers
    expected = max(count, config.redis.expected_processes)
    has_others = config.redis.expected_processes > 1  # on other machines, for all that we know
    listener.set_inheritable(True)

    def order(**of_worker: Any) -> Orders:
        given = {**overrides, "redis": {"expected_processes": expected}}
        return Orders(
            listener=listener.fileno(),
            is_alone=of_worker["shows_banner"] and not has_others,
            data=data,
            config=path,
            overrides=given,
            **of_worker,
        )

    async def run() -> int:
        asyncio.get_running_loop().set_exception_handler(logs.on_loop_error)
        return await Workers(count, listener, order).run()

    config.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with parts.locked(config.data, url):
        return asyncio.run(run())
