"""Redis and PostgreSQL for the benchmark: servers of its own, what they used and what they count.

Both keep to the core of the load generator, like everything that is not the server under test.
PostgreSQL is as safe as in production (fsync, whole pages in its log), unlike that of the tests.
"""

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import machine

sys.path.append(str(machine.HERE.parent / "tests" / "running"))

from postgres_server import NoPostgres, PostgresServer
from redis_server import redis_program

SAFE = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "256MB"}
TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")


def _reaped_us(pid: int) -> float:
    """CPU of children that have ended, which the process tree no longer shows."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) * TICK_US


# --- PostgreSQL -----------------------------------------------------------------------------------


class Postgres:
    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    def create(self, name: str) -> str:
        """The address of a new database."""
        return self._server.create(name=name)

    def ask(self, query: str, url: str) -> int:
        """One number."""
        return int(self._server.ask(lambda line: line.fetchval(query), url) or 0)

    def version(self) -> str:
        told: str = self._server.ask(lambda line: line.fetchval("SHOW server_version"))
        return told

    def cpu_us(self) -> float:
        return machine.cpu_us(self._server.pid) + _reaped_us(self._server.pid)

    def log_bytes(self) -> int:
        """Written to its log (WAL) so far."""
        return self.ask("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn", self._server.url())


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    try:
        server = PostgresServer(**SAFE)
    except NoPostgres as error:
        sys.exit(f"This part needs PostgreSQL: {error}")
    for process in machine.tree(server.pid):
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, process, -10)  # As everything that is measured.
    try:
        yield Postgres(server)
    finally:
        server.remove()


# --- Redis ----------------------------------------------------------------------------------------


class Redis:
    def __init__(self, port: int, pid: int) -> None:
        self.url = f"redis://127.0.0.1:{port}"
        self._port = port
        self._pid = pid

    def info(self, section: str) -> dict[str, str]:
        """What it tells of itself."""
        with socket.create_connection(("127.0.0.1", self._port), 5) as line:
            line.sendall(f"INFO {section}\r\n".encode())
            reply = line.makefile("rb")
            text = reply.read(int(reply.readline()[1:])).decode()
        pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
        return {name: value for name, _, value in pairs}

    def scripts(self) -> tuple[int, int]:
        """Calls of scripts so far, and the microseconds that they took inside."""
        told = self.info("commandstats").get("cmdstat_evalsha", "calls=0,usec=0")
        facts = dict(part.split("=") for part in told.split(","))
        return int(facts["calls"]), int(facts["usec"])

    def network_bytes(self) -> int:
        told = self.info("stats")
        return int(told["total_net_input_bytes"]) + int(told["total_net_output_bytes"])

    def cpu_us(self) -> float:
        return machine.cpu_us(self._pid)


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[Redis]:
    program = redis_program()
    if program is None:
        sys.exit(
            "This part needs redis-server or valkey-server (Debian: apt install redis-server)."
        )
    port = machine.free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--appendonly", "no", "--dir", str(folder)]
    with machine.running(command, machine.LOAD_CORE, log=folder / "redis.log") as process:
        machine.wait_to_listen(port, process)
        yield Redis(port, process.pid)
