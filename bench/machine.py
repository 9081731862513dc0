"""Processes on pinned cores, and what they used: scheduler time and resident memory of a tree."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE.parent / ".bench"
SERVER_CORE = "0"  # the proxy under test
LOAD_CORE = "1"  # load generator and upstream


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def build() -> None:
    """Compile the C programs, or say in one line what is missing."""
    if shutil.which("gcc") is None:
        sys.exit("The benchmark needs gcc for its load generator: apt install gcc (Debian).")
    BUILD.mkdir(exist_ok=True)
    for name in ("loadgen", "upstream"):
        source, target = HERE / "c" / f"{name}.c", BUILD / name
        if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
            command = ["gcc", "-O2", "-w", "-o", str(target), str(source)]
            subprocess.run(command, check=True)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def pinned(core: str) -> list[str]:
    """The words that pin a command to a core, where the machine has more than one."""
    if (os.cpu_count() or 1) < 2 or shutil.which("taskset") is None:
        return []
    return ["taskset", "-c", core]


@contextlib.contextmanager
def running(
    command: list[str], core: str, *, env: dict[str, str] | None = None, log: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process for the length of a block; SIGTERM, then SIGKILL, at its end."""
    out = open(log, "wb") if log else subprocess.DEVNULL
    process = subprocess.Popen(
        [*pinned(core), *command], stdout=out, stderr=subprocess.STDOUT, env=env
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if log:
            out.close()


def tree(pid: int) -> list[int]:
    """A process and all that it started."""
    seen, todo = [], [pid]
    while todo:
        current = todo.pop()
        seen.append(current)
        for children in Path(f"/proc/{current}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                todo += [int(child) for child in children.read_text().split()]
    return seen


def cpu_us(pid: int) -> float:
    """Scheduler run time of all threads of a process tree, microseconds."""
    total = 0
    for process in tree(pid):
        for stat in Path(f"/proc/{process}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):
                total += int(stat.read_text().split()[0])
    return total / 1000


def rss_mb(pid: int) -> float:
    total = 0
    for process in tree(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{process}/status").read_text().splitlines():
                if line.startswith("VmRSS"):
                    total += int(line.split()[1])
    return total / 1024


def wait_for(port: int, path: str, seconds: float = 20) -> float:
    """Seconds until GET `path` answers 200."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        with contextlib.suppress(OSError, urllib.error.URLError):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
                if answer.status == 200:
                    return time.monotonic() - began
        time.sleep(0.01)
    raise TimeoutError(f"nothing answers on port {port}{path} after {seconds} s")


def load(port: int, requests: Path, *, connections: int, seconds: float, rate: float = 0) -> dict:
    """Run the load generator and read its figures."""
    command = [str(BUILD / "loadgen"), str(port), str(connections), str(seconds), str(rate)]
    done = subprocess.run(
        [*pinned(LOAD_CORE), *command, str(requests)],
        capture_output=True,
        text=True,
        timeout=seconds + 30,
        check=True,
    )
    if done.stderr:
        say(f"  port {port}: {done.stderr.strip()[:160]}")
    return json.loads(done.stdout)
