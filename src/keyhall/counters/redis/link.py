"""The way to Redis: keeps a connection, knows the other processes, and decides who may count.

Modes. `shared`: Redis counts for everybody. `away`: it cannot be asked; each process counts by
itself within its share. `joining`: it can be asked again, but does not know yet what all processes
have counted: a request must fit the process's share and Redis' windows. `looking`: the connection
was just lost; whether to look for another takes a few milliseconds, so that one late reply does
not make a process count by itself.

A process tells Redis each second that it lives, and reads the *epoch*: "memory:round:born". The
memory is another one when Redis has forgotten everything (R6), the round another one when
processes have counted by themselves. Whoever meets a new epoch pushes what Redis does not know and
has then joined; once all known processes have, or a minute has passed, Redis counts for everybody
again.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Literal

from keyhall.counters.redis import connection as connections
from keyhall.counters.redis import resp, scripts
from keyhall.counters.redis.address import Address
from keyhall.counters.redis.connection import Away, Connection
from keyhall.outbox import Outbox
from keyhall.policy.limits import WINDOW_US
from keyhall.ports.engine import Signal

Mode = Literal["shared", "joining", "away", "looking"]

BEAT_SECONDS = 1.0
JOINING_SECONDS = 0.1  # between beats while others are waited for
LOOK_PART = 0.9  # of the time for a reply: so long requests wait for a new connection (F-4)
CONNECT_SECONDS = 2.0  # when nobody waits any more
AGAIN_SECONDS = 0.005  # between attempts while requests wait
RETRY_SECONDS = 0.25  # when they do not
MEMBER_US = WINDOW_US  # so long a process that says nothing is counted, and waited for

KEYS = [f"kh:{{keyhall}}:{name}" for name in ("epoch", "members", "untold", "counted")]

_log = logging.getLogger("keyhall")


class Link:
    """One per process. `answers` are the journals of dead processes that we answer for; `alone` is
    called before anything is admitted without Redis. `push` is called with whether Redis has
    forgotten, and whether to tell what the ledger knows, and tells it; times in Redis' clock."""

    def __init__(
        self,
        address: Address,
        outbox: Outbox,
        *,
        name: str,
        expected: int,
        reply_seconds: float,
        answers: tuple[str, ...],
        is_alone: bool,
        alone: Callable[[], None],
        push: Callable[[bool, bool], Awaitable[None]],
        beaten: Callable[[int], None],
        window_us: Callable[[], int],
    ) -> None:
        self._address = address
        self._outbox = outbox
        self._name = name
        self._expected = expected
        self._reply_seconds = reply_seconds
        self._answers = answers
        self._is_alone = is_alone  # nobody is to be waited for
        self._alone = alone
        self._push = push
        self._beaten = beaten
        self._window_us = window_us
        self.mode: Mode = "looking"
        self.reason = "it was not asked yet"
        self.is_unfit = False  # `reason` will be the same for ever
        self.connection: Connection | None = None
        self.epoch = ""
        self._tells_ledger = False  # what processes that are gone have used is in there alone
        self._joined = ""  # the epoch in which Redis knows all that we have counted
        self.epoch_argument = self.memory_argument = b""
        self.processes = max(1, expected)
        self.outage = 1  # numbers the times without Redis, or with one that knows too little
        self._told: str = "shared"  # the mode that the log knows of
        self._outage_began_us = 0
        self._redis_us, self._read_at = 0, 0.0
        self._lost_at_us = 0
        self._waiting: list[Signal] = []
        self._wanted = asyncio.Event()  # beat now
        self.was_late = False
        self._look_until = monotonic() + CONNECT_SECONDS
        self._task: asyncio.Task[None] | None = None

    # --- What requests ask ------------------------------------------------------------------------

    def now_us(self) -> int:
        """Redis' clock as far as we know it; 0 if it was never read."""
        if not self._redis_us:
            return 0
        return self._redis_us + round((monotonic() - self._read_at) * 1_000_000)

    @property
    def has_joined(self) -> bool:
        """Redis knows what we had counted when we last came to it."""
        return bool(self._joined)

    def is_first_minute(self) -> bool:
        """Of the time without Redis: what others had used is still in their windows."""
        return self._window_us() < self._outage_began_us + WINDOW_US

    async def decided(self) -> None:
        """Wait until the mode is no longer `looking`, a few milliseconds. It still is for whoever
        has waited long enough. The first one starts."""
        await self._decision()

    async def first_decided(self) -> None:
        """The same for an asyncio task."""
        await connections.fired(self._decision())

    def _decision(self) -> Signal:
        self.start()
        signal = Signal()
        if self.mode == "looking":
            self._waiting.append(signal)
        else:
            signal.fire()
        return signal

    async def beat_now(self) -> None:
        """The epoch may be another: requests wait until it was read."""
        self.mode = "looking"
        self._wanted.set()
        await self.decided()

    # --- The task ---------------------------------------------------------------------------------

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self.run(), name="redis counters")

    def stop(self) -> Connection | None:
        """The connection, if there is one, for last words."""
        if self._task is not None:
            self._task.cancel()
        connection, self.connection = self.connection, None
        return connection

    async def run(self) -> None:
        """Keep a connection for ever."""
        while True:
            try:
                await self._follow(await self._connect())
            except Away as error:
                self.is_unfit = isinstance(error, connections.Unfit)
                may_look = self.mode == "looking" and not self.is_unfit
                if may_look and monotonic() < self._look_until:
                    await asyncio.sleep(AGAIN_SECONDS)
                    continue
                self._set("away", str(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def _connect(self) -> Connection:
        seconds = CONNECT_SECONDS
        if self.mode == "looking":
            seconds = max(0.001, self._look_until - monotonic())
        return await connections.connect(
            self._address, self._outbox, self._lost, scripts.ALL, seconds, self._reply_seconds
        )

    def _lost(self, connection: Connection, reason: str, waited: float) -> None:
        if connection is not self.connection:
            return
        self.connection = None
        self._lost_at_us = self._lost_at_us or self.now_us()
        # Whoever waits for a reply may wait on for the rest of its time; who has no time left is
        # refused, and only new requests wait for another connection.
        self.was_late = waited >= self._reply_seconds
        look_seconds = self._reply_seconds * LOOK_PART
        self._look_until = monotonic() + look_seconds - (0 if self.was_late else waited)
        self.reason = reason
        self.mode = "looking"
        if self.was_late:
            self._wake()
        self._wanted.set()

    async def _follow(self, connection: Connection) -> None:
        """Beat, join, beat on. Returns or raises Away when the connection is lost."""
        self.is_unfit = False
        was_away = self.mode == "away"
        joined = "" if was_away else self._joined
        lost_at_us = self._lost_at_us if was_away else 0
        known = self.processes
        is_new_memory = False
        while True:
            self._wanted.clear()
            memory = secrets.token_hex(8)
            is_fresh = int(not self._joined)
            known_of_us = self._name, joined, memory, lost_at_us, MEMBER_US, is_fresh
            answers = self._answers if is_fresh else ()
            asked = scripts.BEAT.call(KEYS, *known_of_us, *answers)
            epoch, members, missing, now, age, tells = _read(await connection.call(asked))
            self._redis_us, self._read_at = now, monotonic()
            self._beaten(now)
            lost_at_us = self._lost_at_us = 0
            if epoch != joined:
                self._tells_ledger |= bool(tells)
                is_new_memory = _memory(epoch) != _memory(self._joined)
                self.processes = known = max(self.processes, members, self._expected)
                self._join(connection, epoch)
                await self._push(is_new_memory, self._tells_ledger)
                joined = self._joined = epoch  # Not before: who is cut off in between begins anew.
                self._tells_ledger = False
                continue
            is_awaiting = is_new_memory and not self._is_alone
            needed = max(known, self._expected) if is_awaiting else 1
            if (missing == 0 and members >= needed) or age >= WINDOW_US:
                self.connection = connection
                self.processes = max(members, self._expected)
                is_new_memory = False
                self._set("shared", "")
            else:
                self._set("joining", f"{max(missing, needed - members)} processes have not joined")
            pause = BEAT_SECONDS if self.mode == "shared" else JOINING_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wanted.wait()
            if self.connection is None:
                return

    def _join(self, connection: Connection, epoch: str) -> None:
        """From here on settlements go to Redis again, behind what is pushed now."""
        if self.mode not in ("away", "joining"):
            self._begin_outage()
        is_first = not self.epoch and self.mode == "looking"  # It starts: nobody is in a hurry.
        self.epoch = epoch
        self.epoch_argument = resp.arguments(epoch)
        self.memory_argument = resp.arguments(_memory(epoch) + ":")
        self.connection = connection
        if not is_first:
            self._set("joining", "processes tell it what they have counted", is_told=False)

    def _begin_outage(self) -> None:
        self.outage += 1
        self._outage_began_us = self._window_us()

    def _set(self, mode: Mode, reason: str, *, is_told: bool = True) -> None:
        if mode == "away" and self.mode != "away":
            self._lost_at_us = self._lost_at_us or self.now_us()
            self._begin_outage()
            self._alone()
        self.mode, self.reason = mode, reason
        self._is_alone &= mode == "joining"  # Only until it has begun: then the others come.
        if is_told and mode != self._told:  # A connection that was found again at once is no news.
            self._told = mode
            facts = {"mode": mode, "reason": reason, "processes": self.processes}
            (_log.info if mode == "shared" else _log.warning)("limits_mode", facts)
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for signal in waiting:
            signal.fire()


def _memory(epoch: str) -> str:
    return epoch.partition(":")[0]


def _read(reply: object) -> tuple[str, int, int, int, int, int]:
    assert isinstance(reply, list)  # It is our own script that answers.
    epoch, members, missing, now, age, tells = reply
    return epoch.decode(), members, missing, int(now), int(age), tells
