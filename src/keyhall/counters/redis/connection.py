"""One connection to Redis that carries the commands of all requests.

Commands of one turn go out in one write; replies come in the order of the commands and are handed
out in that order. Nothing can come between the two: writing a command and noting who waits for its
reply is one step, and so is reading a reply and handing it over. Whoever stops waiting leaves its
place in the row, and its reply goes to nobody else (I-10). A reply that is late, an error, or
anything that is no reply ends the connection: then nobody gets anything from it any more.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from keyhall.counters.redis import resp
from keyhall.counters.redis.address import Address
from keyhall.outbox import Outbox
from keyhall.ports.engine import Signal

WAIT_SECONDS = 0.05  # Nobody waits longer for Redis (F-4).
SECOND_LOOK_SECONDS = 0.003  # If this process was held up, the reply lies there unread.
MARGIN_SECONDS = 0.005  # for the second look and what is around it
REPLY_SECONDS = WAIT_SECONDS - MARGIN_SECONDS


# As a script, for one that may not ask still gets a reply: then we believe that it is no cluster.
_IS_CLUSTER = resp.encode(
    "EVAL",
    "local said = redis.pcall('INFO', 'cluster')\n"
    "return type(said) == 'string' and said:match('cluster_enabled:1') or ''",
    "0",
)


class _Lost:
    """In the place of a reply that will never come."""


LOST = _Lost()


class Away(Exception):
    """Redis cannot be reached or does not do what it is asked to; the message says why."""


class Unfit(Away):
    """What answers is not what we can count in, however often it is asked."""


class Ask(Signal):
    """One command whose reply somebody waits for: `await` it, then read `reply`."""

    reply: Any = None  # bytes, int, list, None; or LOST


async def fired(signal: Signal) -> None:
    """Wait for a signal in an asyncio task, which cannot await it itself."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    signal.arm(lambda: None if future.done() else future.set_result(None))
    await future


class Connection(asyncio.Protocol):
    """Made by `connect`. `lost` is called once, before anybody is woken: the reason, and for how
    long the oldest command has waited, in seconds."""

    def __init__(
        self,
        outbox: Outbox,
        lost: Callable[["Connection", str, float], None],
        reply_seconds: float = REPLY_SECONDS,
    ) -> None:
        self._outbox = outbox
        self._reply_seconds = reply_seconds
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._out: list[bytes] = []
        self._pending: deque[Ask | None] = deque()
        self._rest = b""
        # Commands sent and replies read so far, and for each write when and up to which command.
        self._sent = self._read = 0
        self._writes: deque[tuple[int, float]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._has_looked_twice = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are of no such class.

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    # --- Commands out -----------------------------------------------------------------------------

    def ask(self, command: bytes, ask: Ask | None) -> None:
        """Send a whole command at the end of this turn; None: nobody waits for its reply."""
        if self._transport is None:
            if ask is not None:
                ask.reply = LOST
                ask.fire()
            return
        if not self._out:
            self._outbox.put(self._flush, b"")
        self._out.append(command)
        self._pending.append(ask)

    async def call(self, command: bytes) -> Any:
        """The same for an asyncio task. Raises Away."""
        ask = Ask()
        self.ask(command, ask)
        await fired(ask)
        if ask.reply is LOST or not self.is_open:
            raise Away("the connection was lost")
        return ask.reply

    def _flush(self, _: bytes) -> None:
        out, self._out = self._out, []
        if self._transport is None:
            return
        self._sent += len(out)
        self._transport.write(b"".join(out))
        now = self._loop.time()
        self._writes.append((self._sent, now))
        if self._timer is None:
            self._timer = self._loop.call_at(now + self._reply_seconds, self._look)

    def _look(self) -> None:
        """Is a reply late? Looks twice: what came while we were held up is read in between."""
        self._timer = None
        if not self._writes:
            return
        due = self._writes[0][1] + self._reply_seconds
        now = self._loop.time()
        if now < due:
            self._has_looked_twice = False
            self._timer = self._loop.call_at(due, self._look)
        elif self._has_looked_twice:
            self.lose(f"no reply within {self._reply_seconds * 1000:.0f} ms")
        else:
            self._has_looked_twice = True
            self._timer = self._loop.call_later(SECOND_LOOK_SECONDS, self._look)

    # --- Replies in -------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        at, size = 0, len(data)
        pending = self._pending
        try:
            while at < size:
                reply, at = resp.parse(data, at)
                if not pending:
                    raise resp.ReplyError("a reply that nobody asked for")
                self._read += 1
                ask = pending.popleft()
                if ask is not None:
                    ask.reply = reply
                    ask.fire()
                    if self._transport is None:
                        return
        except resp.Incomplete:
            pass
        except resp.ReplyError as error:
            self.lose(str(error))
            return
        self._rest = data[at:]
        self._has_looked_twice = False
        while self._writes and self._writes[0][0] <= self._read:
            self._writes.popleft()

    # --- The end ----------------------------------------------------------------------------------

    def connection_lost(self, error: Exception | None) -> None:
        self.lose("the connection was lost" if error is None else _said(error))

    def close(self, last: bytes) -> None:
        """Send what is left and `last`, and end it; nobody waits any more."""
        transport = self._transport
        if transport is not None:
            self._transport = None
            transport.write(b"".join([*self._out, last]))
            transport.close()
            self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def lose(self, reason: str) -> None:
        """End it: whoever waits gets LOST. Repeatable."""
        transport, self._transport = self._transport, None
        if transport is None:
            return
        transport.abort()
        self._stop_timer()
        waited = self._loop.time() - self._writes[0][1] if self._writes else 0.0
        self._out.clear()
        self._writes.clear()
        self._lost(self, reason, waited)
        asks, self._pending = self._pending, deque()
        for ask in asks:
            if ask is not None:
                ask.reply = LOST
                ask.fire()


async def connect(
    address: Address,
    outbox: Outbox,
    lost: Callable[[Connection, str, float], None],
    scripts: list[bytes],
    seconds: float,
    reply_seconds: float = REPLY_SECONDS,
) -> Connection:
    """Connect, sign in and load `scripts`. Raises Away, Unfit if it is a cluster."""
    loop = asyncio.get_running_loop()
    connection: Connection | None = None
    said: list[str] = []

    def early(early: Connection, reason: str, waited: float) -> None:
        said.append(reason)
        lost(early, reason, waited)

    def make() -> Connection:
        return Connection(outbox, early, reply_seconds)

    try:
        async with asyncio.timeout(seconds):
            if address.path:
                _, connection = await loop.create_unix_connection(make, address.path)
            else:
                _, connection = await loop.create_connection(
                    make, address.host, address.port, ssl=address.context()
                )
            await _greet(connection, address, scripts)
    except BaseException as error:
        if connection is not None:
            connection.lose("given up")
        if isinstance(error, Unfit):
            raise
        if isinstance(error, TimeoutError):
            raise Away("it did not answer in time") from error
        if isinstance(error, (OSError, Away)):
            raise Away(said[0] if said else _said(error)) from error
        raise
    return connection


async def _greet(connection: Connection, address: Address, scripts: list[bytes]) -> None:
    if address.password:
        await connection.call(address.sign_in())
    if await connection.call(_IS_CLUSTER):
        raise Unfit(_cluster(address))
    if address.database:
        await connection.call(address.select())
    for script in scripts:
        await connection.call(resp.encode("SCRIPT", "LOAD", script))


def _said(error: Exception) -> str:
    strerror = getattr(error, "strerror", None)
    return str(strerror or error or type(error).__name__)


def _cluster(address: Address) -> str:
    return (
        f"{address} is a node of a Redis Cluster, in which Keyhall cannot count: it follows no "
        "redirections. Give `[redis] url` one server, with replicas if you like, that has "
        "`cluster-enabled no`"
    )
