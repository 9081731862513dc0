"""One life of a model's process: started, ready, ended."""

import asyncio
import contextlib
import importlib.util
import os
import secrets
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from keyhall.engines.local.child import Ready, Refused, Wanted
from keyhall.engines.local.confine import LOG_BYTES_MAX
from keyhall.ports.records import ModelRecord

START_SECONDS_MAX = 1_800.0  # A file of 100 GB is hashed and loaded from a slow disk in that time.
STOP_SECONDS_MAX = 2.0
_PREFIX = "keyhall-engine-"
Mark = tuple[int, int, int]


class StartFailed(Exception):
    """Why a model cannot be served, in one line without a full stop. `mark`: of the file that was
    looked at; while it stays the same another start is in vain. None: it may help."""

    def __init__(self, why: str, mark: Mark | None = None) -> None:
        super().__init__(why)
        self.mark = mark


@dataclass(slots=True)
class Process:
    """A model that answers on a socket."""

    socket: str
    token: str
    ready: Ready
    _process: asyncio.subprocess.Process
    _folder: Path

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> str:
        """Until it ends; how it did."""
        return _how(await self._process.wait())

    async def end(self) -> None:
        """End it now. Repeatable."""
        await _end(self._process, self._folder)


async def start(record: ModelRecord, log: Path, known: Mark | None) -> Process:
    """Start a process for a model and wait until it answers. Raises StartFailed."""
    _sweep()
    # Not in the data folder: the path of a socket has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))  # Ours alone (0700).
    wanted = Wanted(
        path=record.path,
        sha256=record.sha256,
        socket=str(folder / "e.sock"),  # By its ending llama.cpp knows it for a path.
        token=secrets.token_urlsafe(32),
        slots=record.slots,
        slot_context=record.slot_context,
        threads=record.threads or threads_of_machine(),
        shares_prefixes=record.shares_prefixes,
        parent=os.getpid(),
        known=known,
    )
    process: asyncio.subprocess.Process | None = None
    try:
        with _opened(log) as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-m",
                "keyhall.engines.local.child",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=file,
                cwd=folder,
                env={"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": str(folder)},
                start_new_session=True,  # Ctrl-C is for us: answers are finished first.
            )
        ready = await _ready(process, wanted)
    except BaseException as error:
        if process is not None:
            await _end(process, folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise StartFailed(f"its process cannot be started: {error.strerror}") from error
        raise
    return Process(wanted.socket, wanted.token, ready, process, folder)


def can_run() -> bool:
    """What runs models is installed: an extra, `keyhall[local]`."""
    return importlib.util.find_spec("xllamacpp") is not None


def threads_of_machine() -> int:
    """One less than there are processors for us: that one is Keyhall's. Threads wait for each other
    many times in each token, so that one that has no processor holds up all."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)) - 1)
    return max(1, (os.cpu_count() or 1) - 1)


async def _ready(process: asyncio.subprocess.Process, wanted: Wanted) -> Ready:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(msgspec.json.encode(wanted) + b"\n")
        await process.stdin.drain()
        async with asyncio.timeout(START_SECONDS_MAX):
            line = await process.stdout.readline()
        said = msgspec.json.decode(line, type=Ready | Refused)
    except TimeoutError:
        raise StartFailed(f"it was not ready within {START_SECONDS_MAX:g} s") from None
    except (OSError, ValueError):  # It ended without a word: native code crashed.
        async with asyncio.timeout(STOP_SECONDS_MAX):
            how = _how(await process.wait())
        raise StartFailed(f"its process {how} while it loaded the model") from None
    if isinstance(said, Refused):
        raise StartFailed(said.why, said.mark)
    return said


def _how(code: int) -> str:
    return f"ended with code {code}" if code >= 0 else f"was ended by signal {-code}"


async def _end(process: asyncio.subprocess.Process, folder: Path) -> None:
    if process.stdin is not None:
        process.stdin.close()
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    try:
        await asyncio.shield(process.wait())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _opened(log: Path) -> BinaryIO:
    """For what llama.cpp says; a log that is half full makes room."""
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX // 2:
        log.replace(log.with_suffix(".old"))
    return cast("BinaryIO", open(log, "ab", buffering=0))


def _sweep() -> None:
    """Remove the folders of servers that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        number = folder.name.removeprefix(_PREFIX).partition("-")[0]
        try:
            os.kill(int(number), 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except (ValueError, OSError):
            continue
