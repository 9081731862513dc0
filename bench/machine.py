"""Processes on pinned cores, what they used, and the load generator.

CPU is the scheduler's run time of all threads of a process tree, so what a server does in threads
or children counts like the rest. Where the machine allows it, everything measured runs with a
raised priority, and rounds that measure latency run before all ordinary processes (SCHED_FIFO).
"""

import contextlib
import functools
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
from collections.abc import Iterable, Iterator
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE.parent / ".bench"
SERVER_CORE = "0"  # the server under test
LOAD_CORE = "1"  # load generator and upstream
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def prepare() -> None:
    """Compile the C programs and make room for the servers, or say in one line what is missing."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        sys.exit("The benchmark needs gcc for its load generator: apt install gcc (Debian).")
    if not Path("/proc/self/schedstat").exists():
        sys.exit("The benchmark reads CPU times from /proc/PID/schedstat: it needs Linux.")
    BUILD.mkdir(exist_ok=True)
    for name in ("loadgen", "upstream"):
        source, target = HERE / "c" / f"{name}.c", BUILD / name
        if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
            subprocess.run([compiler, "-O2", "-o", str(target), str(source)], check=True)
    keep_off()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


# --- Processes ------------------------------------------------------------------------------------


@functools.cache
def _priority() -> tuple[str, ...]:
    """The words that raise a command's priority, if this user may: `nice` alone prints it."""
    try:
        done = subprocess.run(["nice", "-n", "-10", "nice"], capture_output=True, text=True)
    except FileNotFoundError:
        return ()
    return ("nice", "-n", "-10") if done.stdout.strip() == "-10" else ()


def placed(core: str) -> list[str]:
    """The words that put a command on a core, where the machine has more than one."""
    if (os.cpu_count() or 1) < 2 or shutil.which("taskset") is None:
        return [*_priority()]
    return ["taskset", "-c", core, *_priority()]


def keep_off() -> None:
    """Keep this very process off the core of the servers."""
    if (os.cpu_count() or 1) > 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(LOAD_CORE)})


def clean(**variables: str) -> list[str]:
    """The words that give a command these variables and nothing of the caller's environment: a
    key or setting that a person has exported must not change what is measured."""
    given = {"PATH": PATH, "HOME": str(Path.home()), "LANG": "C.UTF-8", **variables}
    return ["env", "-i", *(f"{name}={value}" for name, value in given.items())]


@contextlib.contextmanager
def running(
    command: list[str], core: str, *, log: Path, **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A process for the length of a block; SIGTERM, then SIGKILL, at its end."""
    with open(log, "wb") as out:
        process = subprocess.Popen(
            [*placed(core), *clean(**variables), *command], stdout=out, stderr=subprocess.STDOUT
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


def wait_for(port: int, path: str, process: subprocess.Popen[bytes], seconds: float = 20) -> float:
    """Seconds until GET `path` answers 200. Raises TimeoutError, at once if the process ends."""
    began = time.monotonic()
    while time.monotonic() - began < seconds and process.poll() is None:
        with (
            contextlib.suppress(OSError, urllib.error.URLError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer,
        ):
            if answer.status == 200:
                return time.monotonic() - began
        time.sleep(0.01)
    raise TimeoutError(f"nothing answers on port {port}{path}")


def wait_to_listen(port: int, process: subprocess.Popen[bytes], seconds: float = 20) -> None:
    """Until a connection to `port` is taken. Raises TimeoutError, at once if the process ends."""
    began = time.monotonic()
    while time.monotonic() - began < seconds and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 2):
            return
        time.sleep(0.01)
    raise TimeoutError(f"nothing listens on port {port}")


# --- What they used -------------------------------------------------------------------------------


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


def _threads(pid: int) -> list[Path]:
    return [path for process in tree(pid) for path in Path(f"/proc/{process}/task").glob("*")]


def cpu_us(pid: int) -> float:
    """Scheduler run time of all threads of a process tree, microseconds."""
    total = 0
    for thread in _threads(pid):
        with contextlib.suppress(OSError):
            total += int((thread / "schedstat").read_text().split()[0])
    return total / 1000


def rss_mb(pid: int) -> float:
    total = 0
    for process in tree(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{process}/status").read_text().splitlines():
                if line.startswith("VmRSS"):
                    total += int(line.split()[1])
    return total / 1024


@contextlib.contextmanager
def asleep(pids: Iterable[int]) -> Iterator[None]:
    """For a block these process trees do not run: their timers must not disturb another's round."""
    processes = [process for pid in pids for process in tree(pid)]
    _signal(processes, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(processes, signal.SIGCONT)


def _signal(processes: list[int], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


@contextlib.contextmanager
def first_in_line(pids: Iterable[int]) -> Iterator[None]:
    """For a block these process trees run before ordinary processes, if this user may say so."""
    threads = [int(thread.name) for pid in pids for thread in _threads(pid)]
    _schedule(threads, os.SCHED_FIFO, 5)
    try:
        yield
    finally:
        _schedule(threads, os.SCHED_OTHER, 0)


def _schedule(threads: list[int], policy: int, priority: int) -> None:
    for thread in threads:
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.sched_setscheduler(thread, policy, os.sched_param(priority))


# --- Load -----------------------------------------------------------------------------------------


def load(
    port: int,
    requests: Path,
    *,
    connections: int,
    seconds: float,
    rate: float = 0,
    count: int = 0,
) -> dict:
    """Run the load generator and read its figures; `count` ends it after so many requests."""
    command = [str(BUILD / "loadgen"), str(port), str(connections), str(seconds), str(rate)]
    process = subprocess.Popen(
        [*placed(LOAD_CORE), *command, str(requests), *([str(count)] if count else [])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # A thread's standing passes to what it starts, so the generator is put in line by itself.
    with first_in_line([process.pid]) if rate else contextlib.nullcontext():
        out, trouble = process.communicate(timeout=seconds + 30)
    if trouble:
        say(f"  port {port}: {trouble.strip()[:300]}")
    if process.returncode:
        raise RuntimeError(f"the load generator ended with status {process.returncode}")
    figures = json.loads(out)
    figures["bad"] += figures.pop("late")  # due in an open loop, and never sent
    return figures
