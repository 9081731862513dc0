"""By which clock records were written: how old they are where the wall clock was set since (R6).

A process's clock is the wall clock of its start, and the machine's uptime from then on. If the wall
clock is set forward between two lives, what the first one recorded looks older than it is. So each
life notes in the data folder when it began and what its clock adds to the uptime. Until the machine
boots again, the uptime tells the rest. A note that is missing, damaged or of another boot says
nothing: then the wall clock is believed. For one process at a time on a folder.
"""

import contextlib
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import msgspec

from keyhall.clock import Clock

NAME = "clock.json"
KEEP_US = 300_000_000  # of what ended so long ago no window holds anything
_BOOT = Path("/proc/sys/kernel/random/boot_id")  # Linux only.


class Era(msgspec.Struct, frozen=True):
    """A life: when it began by its own clock, and what that adds to the uptime."""

    began_us: int
    base_us: int


_NONE = Era(0, 0)


class _Note(msgspec.Struct, frozen=True):
    boot: str
    eras: tuple[Era, ...]


class Eras:
    """Times of records by the clock of this life."""

    def __init__(self, own: Era = _NONE, before: Sequence[Era] = ()) -> None:
        self._own = own
        self._before = before

    def ours(self, at_us: int) -> int:
        """When it was, by our clock; never earlier than the record says, nor after we began."""
        for era in reversed(self._before):
            if era.began_us <= at_us:
                return max(at_us, min(at_us + self._ahead_us(era), self._own.began_us))
        return at_us

    def recorded_since_us(self, ours_us: int) -> int:
        """The earliest time in a record that may be of then or later."""
        return ours_us - max(map(self._ahead_us, self._before), default=0)

    def _ahead_us(self, era: Era) -> int:
        return max(0, self._own.base_us - era.base_us)


def boot_of_machine(path: Path = _BOOT) -> str | None:
    """What tells this boot of the machine from others, if the system says it."""
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        return None


def begin(folder: Path, clock: Clock, boot: str | None) -> Eras:
    """A life begins; what it needs to know of those before it."""
    uptime_us = clock.uptime_us()
    if uptime_us is None or boot is None:
        return Eras()
    # After every record, also where the clock was set back and began at the newest one's time.
    clock.not_before(clock.now_us() + 1)
    era = Era(clock.now_us(), clock.now_us() - uptime_us)
    found = _read(folder / NAME)
    known = found.eras if found is not None and found.boot == boot else ()
    before = [
        each
        for each, following in pairwise((*known, era))  # A life ends where the following begins.
        if following.began_us - following.base_us > uptime_us - KEEP_US
    ]
    _write(folder / NAME, _Note(boot, (*before, era)))
    return Eras(era, before)


def _read(path: Path) -> _Note | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Note)
    except (OSError, msgspec.MsgspecError):
        return None


def _write(path: Path, note: _Note) -> None:
    """Whole or not at all. Not synced: a machine that loses power boots again."""
    draft = path.with_suffix(".draft")
    with contextlib.suppress(OSError):  # A full disk: others say so.
        draft.write_bytes(msgspec.json.encode(note))
        os.replace(draft, path)
