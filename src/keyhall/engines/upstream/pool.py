"""The keep-alive connections to one upstream: bounded, swept by one timer, resolved and checked.

A call takes the connection that was freed last, or waits in a bounded queue while a new one is
made; a connection that is freed goes to whoever waits longest. Only making a connection runs in a
task. One timer looks after all deadlines of all connections, and stops when there are none.
"""

import asyncio
import ssl
from collections import OrderedDict
from dataclasses import dataclass
from typing import cast

from keyhall.engines.upstream import faults
from keyhall.engines.upstream.address import Address, AddressRefused, Resolver
from keyhall.engines.upstream.call import Call, Deadlines
from keyhall.engines.upstream.connection import Connection
from keyhall.errors import ApiError
from keyhall.outbox import Outbox
from keyhall.policy.breaker import RetryBudget


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much a pool may hold. Beyond both, calls are refused with ENGINE_BUSY."""

    connections: int = 4_096
    waiting: int = 4_096


class Pool:
    """Belongs to the event loop in which its first call is started."""

    def __init__(
        self,
        address: Address,
        resolver: Resolver,
        *,
        ca_file: str | None = None,
        deadlines: Deadlines | None = None,
        sizes: Sizes | None = None,
        outbox: Outbox | None = None,
        socket: str | None = None,
    ) -> None:
        """`socket` is the path of a Unix socket: of the address then only its words are used."""
        self._address = address
        self._socket = socket
        self._resolver = resolver
        self._ca_file = ca_file
        self._deadlines = deadlines or Deadlines()
        self._sizes = sizes or Sizes()
        self._tls: ssl.SSLContext | None = None
        self.outbox = outbox or Outbox()
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._waiting: OrderedDict[Call, None] = OrderedDict()
        self._connecting: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._retries = RetryBudget()
        self.trouble: str | None = None  # Why the last connection failed, for the operator.

    # --- For the engine ---

    def start(self, call: Call) -> None:
        """Send the call now or as soon as there is a connection. Failures end the call."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_quiet():
                connection.send(call)
                return
            connection.abort()
        if self._is_closed:
            call.end(faults.busy("The engine is being closed."))
        elif len(self._waiting) >= self._sizes.waiting:
            call.end(faults.busy("Too many requests wait for the engine."))
        else:
            self._wait(call)

    async def probe(self) -> None:
        """Make one connection and close it. Raises what making one raises: TimeoutError,
        AddressRefused, OSError."""
        async with asyncio.timeout(self._deadlines.connect):
            connection = await self._connect_to_any()
        connection.abort()

    def forget(self, call: Call) -> None:
        """A waiting call is no longer wanted."""
        self._waiting.pop(call, None)

    async def close(self) -> None:
        """Close everything; calls under way fail. Repeatable."""
        self._is_closed = True
        while self._waiting:
            self._fail_oldest(faults.busy("The engine is being closed."))
        for connection in list(self._open):
            connection.fail(faults.busy("The engine is being closed."))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        connecting = list(self._connecting)
        for task in connecting:
            task.cancel()
        await asyncio.gather(*connecting, return_exceptions=True)

    @property
    def open_connections(self) -> int:
        return len(self._open)

    @property
    def idle_connections(self) -> int:
        return len(self._idle)

    @property
    def is_idle(self) -> bool:
        """No call is under way or waits."""
        return not self._waiting and len(self._open) == len(self._idle)

    @property
    def is_sweeping(self) -> bool:
        return self._timer is not None

    # --- For its connections ---

    def freed(self, connection: Connection) -> None:
        if self._waiting and not connection.is_quiet():
            connection.abort()
        else:
            self._next(connection)

    def _next(self, connection: Connection) -> None:
        """The call that waits longest gets it."""
        if self._waiting:
            call, _ = self._waiting.popitem(last=False)
            connection.send(call)
        else:
            self._idle.append(connection)

    def may_retry(self) -> bool:
        return self._retries.take()

    def removed(self, connection: Connection, carried: int) -> None:
        if connection in self._open:
            self._open.discard(connection)
            self._retries.earn(carried)
            if connection in self._idle:
                self._idle.remove(connection)
            if self._waiting:
                self._connect_as_needed()

    def again(self, call: Call) -> None:
        if self._is_closed:
            call.end(faults.busy("The engine is being closed."))
            return
        self._wait(call)
        self._waiting.move_to_end(call, last=False)

    # --- New connections ---

    def _wait(self, call: Call) -> None:
        call.waiting_since = asyncio.get_running_loop().time()
        self._waiting[call] = None
        self._connect_as_needed()

    def _connect_as_needed(self) -> None:
        """One attempt for each waiting call, as far as the bound allows. An attempt that fails
        takes the oldest waiting call with it, so nobody waits for attempts that are not made."""
        while (
            not self._is_closed
            and len(self._connecting) < len(self._waiting)
            and len(self._open) + len(self._connecting) < self._sizes.connections
        ):
            self._connecting.add(asyncio.get_running_loop().create_task(self._connect()))
        self._start_timer()

    async def _connect(self) -> None:
        failure: ApiError | None = None
        connection: Connection | None = None
        try:
            async with asyncio.timeout(self._deadlines.connect):
                connection = await self._connect_to_any()
            self.trouble = None
        except TimeoutError:
            self._resolver.forget()
            self.trouble = f"no connection to it within {self._deadlines.connect:g} s"
            failure = faults.timed_out(self.trouble)
        except AddressRefused as error:
            self.trouble = str(error)
            failure = faults.failed(self.trouble)
        except ssl.SSLError as error:
            self.trouble = f"no trusted connection to it could be made: {error}"
            failure = faults.failed("no trusted connection to it could be made (TLS)")
        except (OSError, ValueError) as error:
            self._resolver.forget()
            self.trouble = f"no connection to it could be made: {error}"
            failure = faults.failed("no connection to it could be made")
        finally:  # Before anyone is woken: who starts a call then must be counted right.
            self._connecting.discard(cast("asyncio.Task[None]", asyncio.current_task()))
        if connection is not None:
            self._joined(connection)
        elif failure is not None and self._waiting:
            self._fail_oldest(failure)
        self._connect_as_needed()

    async def _connect_to_any(self) -> Connection:
        """Try the checked addresses in turn, the last with all the time that is left."""
        loop = asyncio.get_running_loop()
        if self._socket is not None:
            _, connection = await loop.create_unix_connection(
                lambda: Connection(self, self._deadlines), self._socket
            )
            return connection
        addresses = await self._resolver.addresses()
        if self._address.is_tls and self._tls is None:
            # Reading a machine's certificates takes tens of milliseconds.
            self._tls = await loop.run_in_executor(None, _make_tls, self._ca_file)
        for ip in addresses[:-1]:
            try:
                async with asyncio.timeout(self._deadlines.connect / 2):
                    return await self._connect_to(ip)
            except OSError:  # Refused, unreachable or, as TimeoutError, silent.
                continue
        return await self._connect_to(addresses[-1])

    async def _connect_to(self, ip: str) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(self, self._deadlines),
            ip,
            self._address.port,
            ssl=self._tls,
            server_hostname=self._address.host if self._tls is not None else None,
        )
        return connection

    def _joined(self, connection: Connection) -> None:
        if self._is_closed or connection.is_closed:
            connection.abort()
            return
        self._open.add(connection)
        self._start_timer()
        self._next(connection)

    def _fail_oldest(self, failure: ApiError) -> None:
        call, _ = self._waiting.popitem(last=False)
        call.end(failure)

    # --- The timer ---

    def _start_timer(self) -> None:
        if self._timer is None and (self._open or self._waiting) and not self._is_closed:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._deadlines.sweep, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        for connection in list(self._open):
            connection.sweep(now)
        while self._waiting:
            call = next(iter(self._waiting))
            if now - call.waiting_since <= self._deadlines.queue:
                break
            self._fail_oldest(faults.busy("No connection to the engine became free in time."))
        self._start_timer()


def _make_tls(ca_file: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError:  # Also ssl.SSLError: not a certificate.
        raise AddressRefused("the file with its CA certificate cannot be read") from None
    context.set_alpn_protocols(["http/1.1"])
    return context
