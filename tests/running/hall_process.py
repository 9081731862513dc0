"""A server in a process of its own, on a data folder that outlives it: started, killed, restarted.

`Premises` is the folder with its settings and command line; `start` gives a running `Process`.
"""

import contextlib
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command_line import keyhall_json
from patience import PATIENCE_SECONDS

CONFIG = """\
[tiers.roomy]
limits = { requests_per_minute = 1_000_000, tokens_per_minute = 1_000_000_000 }
"""


@dataclass(slots=True)
class Process:
    """A running `keyhall serve`."""

    popen: "subprocess.Popen[bytes]"
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self.popen.pid

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and self.popen.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:  # and again
                    if answer.status == 200:
                        return
            except OSError:  # Refused, cut, or still silent.
                pass
            time.sleep(0.01)
        raise AssertionError(f"keyhall serve is not ready:\n{self.log.read_text()}")

    def kill(self) -> None:
        """SIGKILL: what it has not told anybody, it never will."""
        self.popen.kill()
        assert self.popen.wait() == -signal.SIGKILL, self.log.read_text()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.popen.terminate()
        return self.popen.wait(PATIENCE_SECONDS)

    def end(self) -> None:
        """Whatever state it is in, and its workers with it: they would go on for a while, and tell
        the next test's Redis of themselves."""
        if self.popen.poll() is None:
            workers = self.children()
            self.popen.kill()
            self.popen.wait()
            for pid in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def children(self) -> list[int]:
        """The workers of a server that has several."""
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        with contextlib.suppress(OSError):
            return [int(pid) for pid in listed.read_text().split()]
        return []

    def rss_bytes(self) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def limit_of_files(self) -> int:
        for line in Path(f"/proc/{self.pid}/limits").read_text().splitlines():
            if line.startswith("Max open files"):
                return int(line.split()[3])
        raise AssertionError("no limit of open files")


class Premises:
    """A data folder, its settings, and the command line that works on it."""

    def __init__(self, folder: Path, config: str = CONFIG) -> None:
        self.data = folder / "data"
        self.config = folder / "keyhall.toml"
        self.config.write_text(config)
        self._folder = folder
        self._starts = 0
        self.port = free_port()

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        given = {"KEYHALL_DATA": str(self.data), "KEYHALL_CONFIG": str(self.config)}
        return {**os.environ, **given, **(more or {})}

    def spawn(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        soft_files: int | None = None,
        core: int | None = None,
    ) -> Process:
        """Start it, without waiting. The output of each start is kept in a file of its own."""
        self._starts += 1
        log = self._folder / f"serve-{self._starts}.log"

        def prepare() -> None:
            if soft_files is not None:
                hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft_files, hard))
            if core is not None:
                os.sched_setaffinity(0, {core})

        with log.open("wb") as output:
            popen = subprocess.Popen(
                [sys.executable, "-m", "keyhall", "serve", "--port", str(self.port)],
                env=self.environment(environ),
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=prepare if soft_files or core is not None else None,
            )
        return Process(popen, self.port, log)

    def start(self, **options: Any) -> Process:
        process = self.spawn(**options)
        try:
            process.wait_until_ready()
        except BaseException:
            process.end()
            raise
        return process

    def run(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """`keyhall ARGUMENTS` on the data folder."""
        done = subprocess.run(
            [sys.executable, "-m", "keyhall", *arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr or done.stdout
        return done

    def run_json(self, *arguments: str) -> Any:
        """What a command says, run in this process. Not inside an event loop."""
        return keyhall_json(self.data, self.config, *arguments)

    def make_key(self, name: str = "test", *options: str) -> dict[str, Any]:
        """A key of the tier `roomy`, unless the options name another. Not inside an event loop."""
        tier = () if "--tier" in options else ("--tier", "roomy")
        words = ("keys", "create", "--name", name, *tier, *options)
        made: dict[str, Any] = keyhall_json(self.data, self.config, *words)
        return made

    def query(self, statement: str, *values: object) -> list[sqlite3.Row]:
        """Rows of the database, read beside the server."""
        connection = sqlite3.connect(self.data / "keyhall.db", timeout=PATIENCE_SECONDS)
        try:
            connection.row_factory = sqlite3.Row
            return connection.execute(statement, values).fetchall()
        finally:
            connection.close()

    def usage(self) -> list[sqlite3.Row]:
        """All usage rows, oldest admission first."""
        return self.query("SELECT * FROM usage ORDER BY admitted_at_us, number")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
