"""`keyhall serve`: everything from a data folder to a running server, with a first key on screen."""

import asyncio
import contextlib
import gc
import resource
import signal
import socket
from collections.abc import Iterator
from typing import Any

import click
import structlog
import uvicorn
import uvloop

from keyhall import app, logs
from keyhall.app import HallBusy, House
from keyhall.cli import banner
from keyhall.cli.options import fail, load_config
from keyhall.config import Config
from keyhall.ports.exchange import Stopped

BACKLOG = 4096
OPEN_FILES_WANTED = 65_536


@click.command()
@click.option("--host", metavar="ADDRESS", help="Address to listen on.  [127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 takes a free one.  [8484]")
@click.option("--data", metavar="DIR", help="Data folder.")
@click.option("--config", "path", metavar="FILE", help="Settings file (TOML).")
@click.option("--tls-cert", metavar="FILE", help="PEM file of the certificate chain.")
@click.option("--tls-key", metavar="FILE", help="PEM file of the certificate's key.")
def serve(
    host: str | None,
    port: int | None,
    data: str | None,
    path: str | None,
    tls_cert: str | None,
    tls_key: str | None,
) -> None:
    """Start the server. The first start makes an account, a project and a key, and shows them.

    Stop it with Ctrl-C or SIGTERM: running answers get 30 seconds to end.
    """
    given = {"host": host, "port": port, "tls_cert": tls_cert, "tls_key": tls_key}
    config = load_config(data, path, {"server": given})
    logs.configure(config.log)
    raise_file_limit()
    listener = bind(config)
    try:
        uvloop.run(run(config, listener))
    except HallBusy as error:
        fail(str(error))
    finally:
        listener.close()


def bind(config: Config) -> socket.socket:
    """The listening socket, or one line that says why there is none."""
    server = config.server
    if bool(server.tls_cert) != bool(server.tls_key):
        fail("TLS needs both --tls-cert and --tls-key.")
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((server.host, server.port))
    except OSError as error:
        fail(
            f"Cannot listen on {server.host} port {server.port}: {error.strerror}. "
            "Choose another with --port, or see what uses it: ss -ltnp"
        )
    return listener


def raise_file_limit() -> None:
    """Thousands of streams are thousands of open files: take what the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_WANTED if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES_WANTED)
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def url_of(config: Config, listener: socket.socket) -> str:
    """The address that people use."""
    if config.server.url:
        return config.server.url.rstrip("/")
    scheme = "https" if config.server.tls_cert else "http"
    host = config.server.host
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    if ":" in host:
        host = f"[{host}]"
    return f"{scheme}://{host}:{listener.getsockname()[1]}"


class Server(uvicorn.Server):
    """uvicorn's server; a signal ends it with status 0 once everything is settled (I-18)."""

    house: House

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
        self.house.health.is_stopping = True
        self.house.lane_state.is_stopping = True
        super().handle_exit(sig, frame)


async def run(config: Config, listener: socket.socket) -> None:
    url = url_of(config, listener)
    async with app.open_house(config, url) as house:
        server = Server(uvicorn_config(config, house))
        server.house = house
        gc.collect()
        gc.freeze()  # What lives from here on is not looked at again by full collections.
        gc.set_threshold(50_000, 50, 1_000)
        banner.show(house, config, url)
        await server.serve(sockets=[listener])
        await cut_what_runs(house)
    structlog.get_logger("keyhall").info("stopped")


def uvicorn_config(config: Config, house: House) -> uvicorn.Config:
    return uvicorn.Config(
        app.application(house),  # type: ignore[arg-type]
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
        timeout_graceful_shutdown=config.server.grace_seconds,
        ssl_certfile=config.server.tls_cert or None,
        ssl_keyfile=config.server.tls_key or None,
    )


async def cut_what_runs(house: House) -> None:
    """The grace period is over: end what still runs, so that it is settled before we go."""
    for connection in list(house.lane_state.connections):
        connection.cut(None, Stopped())
    await asyncio.sleep(0)
