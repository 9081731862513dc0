"""`keyhall serve`: from a data folder to a running server, with a first key on screen."""

import asyncio
import contextlib
import errno
import gc
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

import click
import uvicorn
import uvloop

from keyhall import __version__, app, logs, web
from keyhall.app import House
from keyhall.cli import banner, tls
from keyhall.cli import workers as many
from keyhall.cli.options import fail, load_config
from keyhall.config import Config
from keyhall.config import Server as Settings
from keyhall.flows.accounts import links
from keyhall.parts import StartRefused
from keyhall.ports.exchange import Stopped

BACKLOG = 4096
OPEN_FILES_WANTED = 65_536
# Forward secrecy and authenticated encryption; those of TLS 1.3 all have both.
TLS_1_2_SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20"
LAST_WORDS_SECONDS = 1.0  # what was cut gets so long to hear why

_log = logging.getLogger("keyhall")


@click.command()
@click.option("--host", metavar="ADDRESS", help="Address to listen on.  [127.0.0.1]")
@click.option(
    "--port",
    metavar="PORT",
    type=int,
    help="Port to listen on; 0 takes a free one.  [8484]",
)
@click.option("--data", metavar="DIR", help="Data folder.")
@click.option("--config", "path", metavar="FILE", help="Settings file (TOML).")
@click.option("--workers", metavar="N", type=int, help="Processes that serve.  [1]")
@click.option("--tls-cert", metavar="FILE", help="PEM file of the certificate chain.")
@click.option("--tls-key", metavar="FILE", help="PEM file of the certificate's key.")
def serve(
    host: str | None,
    port: int | None,
    data: str | None,
    path: str | None,
    workers: int | None,
    tls_cert: str | None,
    tls_key: str | None,
) -> None:
    """Start the server. The first start makes an account, a project and a key, and shows them.

    Stop it with Ctrl-C or SIGTERM: running answers get 30 seconds to end.
    """
    gc.disable()  # Until it is open: a start makes much that stays, and no garbage to speak of.
    given = {
        "server": {
            "host": host, "port": port, "workers": workers, "tls_cert": tls_cert, "tls_key": tls_key
        }
    }  # fmt: skip
    config = load_config(data, path, given)
    if config.server.workers > 1 and (why := many.refusal(config)) is not None:
        fail(why)
    logs.configure(config.log)
    raise_file_limit()
    dump_no_core()
    try:
        until = tls.read(config.server)
    except tls.Unusable as error:
        fail(str(error))
    with contextlib.closing(bind(config.server)) as listener:
        try:
            if config.server.workers > 1:
                url = url_of(config.server, listener.getsockname()[1])
                sys.exit(many.serve_many(config, listener, url, data, path, given))
            uvloop.run(run(config, listener, until))
        except StartRefused as error:
            fail(str(error))


def bind(server: Settings) -> socket.socket:
    """The listening socket, or one line that says why there is none."""
    try:
        family, address = address_of(server)
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        fail(f"Cannot listen on {server.host} port {server.port}: {why_not_listening(error)}")
    return listener


def why_not_listening(error: OSError) -> str:
    """What went wrong, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return f"{error.strerror}. Choose another with --port; `ss -ltnp` lists what uses it now."
    if error.errno == errno.EACCES:
        return f"{error.strerror}. Low ports belong to the system: choose one from 1024 on."
    return f"{error.strerror}. Choose another address with --host."


def address_of(server: Settings) -> tuple[socket.AddressFamily, Any]:
    """What to bind; of a name's addresses, IPv4 before IPv6. Raises OSError."""
    passive = socket.AI_PASSIVE
    found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM, flags=passive)
    family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    return family, address


def raise_file_limit() -> None:
    """Thousands of streams are thousands of open files: take what the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_WANTED if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES_WANTED)
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def dump_no_core() -> None:
    """What crashes must not write its memory to disk: there are conversations in it (I-13)."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def url_of(server: Settings, port: int) -> str:
    """The address that people use."""
    if server.url:
        return server.url.rstrip("/")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host, server.host)  # noqa: S104
    scheme = "https" if server.tls_cert else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


async def run(
    config: Config,
    listener: socket.socket,
    tls_until: float | None = None,
    orders: many.Orders | None = None,
) -> None:
    """Serve until a signal. With `orders`, as one of several workers."""
    asyncio.get_running_loop().set_exception_handler(logs.on_loop_error)
    own = listener.getsockname()[:2]
    url = url_of(config.server, own[1])
    worker = None if orders is None else orders.number
    # Of the workers of this start, and there are no others as far as the settings say.
    is_alone = orders is not None and orders.is_alone
    async with app.open_house(config, url, None, [own], worker, is_alone=is_alone) as house:
        gc.freeze()  # What lives from here on is not looked at again by full collections.
        gc.set_threshold(50_000, 50, 1_000)
        gc.enable()
        server = Server(uvicorn_config(config, house), house, config, url, tls_until, orders)
        await server.serve(sockets=[listener])
    _log.info("stopped", {"data": str(config.data)})


class Server(uvicorn.Server):
    """uvicorn's server, with our words at its start and our way to its end (I-18): a signal ends
    it with status 0 once everything is settled."""

    def __init__(
        self,
        given: uvicorn.Config,
        house: House,
        config: Config,
        url: str,
        tls_until: float | None,
        orders: many.Orders | None,
    ) -> None:
        super().__init__(given)
        self._orders = orders
        self._house = house
        self._config = config
        self._url = url
        self._tls_until = tls_until

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        orders = self._orders
        if orders is None or orders.shows_banner:
            if self._config.console.enabled:
                self._house.set_up = await links.set_up(
                    self._house.store, self._url, self._house.hall.clock.now_us()
                )
            with contextlib.suppress(BrokenPipeError):  # Nobody reads it: no reason not to serve.
                banner.show(self._house, self._config, self._url, self._tls_until)
        facts = {"url": self._url, "version": __version__, "data": str(self._config.data)}
        if orders is not None:
            facts["worker"] = str(orders.number)
            os.write(orders.opened, b"o")
            os.close(orders.opened)
            asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._parent_is_gone)
        _log.info("started", facts)

    def _parent_is_gone(self) -> None:
        """Standard input has ended: nobody is left to tell us to stop."""
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        self.handle_exit(signal.SIGTERM, None)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """The first signal: nothing new begins, what runs may end. A second one: now."""
        if self.should_exit:
            self._grace_is_over()
            return
        self.should_exit = True
        self._house.health.is_stopping = True
        self._house.lane_state.is_stopping = True
        grace = self._config.server.grace_seconds
        _log.info("stopping", {"open": self._house.hall.counters.open_holds(), "grace": grace})
        asyncio.get_running_loop().call_later(grace, self._grace_is_over)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        await self._house.hall.drains.ended()

    def _grace_is_over(self) -> None:
        """End what still runs, so that it is settled before we go; then who does not listen."""
        drains = self._house.hall.drains
        if self.server_state.connections or drains.count:
            _log.warning("grace_over", {"cut": self._house.hall.counters.open_holds()})
            drains.cut(Stopped())
            for connection in list(self._house.lane_state.connections):
                connection.cut(None, Stopped())
            asyncio.get_running_loop().call_later(LAST_WORDS_SECONDS, self._abort)

    def _abort(self) -> None:
        for connection in list(self._house.lane_state.connections):
            connection.transport.abort()


def uvicorn_config(config: Config, house: House) -> uvicorn.Config:
    return uvicorn.Config(
        web.application(house, config),
        http=house.protocol,
        ws="none",
        loop="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        backlog=BACKLOG,
        ssl_certfile=config.server.tls_cert or None,
        ssl_keyfile=config.server.tls_key or None,
        ssl_ciphers=TLS_1_2_SUITES,
    )
