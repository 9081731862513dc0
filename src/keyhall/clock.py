"""Time, as one argument: microseconds since 1970 that never step back.

The system clock is read once; from then on the machine's uptime is added to it. So a wall clock
that is set back or forth while Keyhall runs cannot open or close a window (R1), and one that
starts behind the newest record counts as that record's time (R6).
"""

import time
from typing import Protocol

_UPTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # BOOTTIME counts suspended time.
_uptime_ns = time.clock_gettime_ns


class Clock(Protocol):
    """Microseconds since 1970, never decreasing."""

    def now_us(self) -> int: ...
    def uptime_us(self) -> int | None:
        """Since the machine has booted, if it is that which this clock goes by."""
        ...

    def not_before(self, at_us: int) -> None: ...


class AdjustableClock(Clock, Protocol):
    """A clock that can be told of a record that is newer than it believed (R6)."""

    def not_before(self, at_us: int) -> None:
        """Never answer less than `at_us` from now on."""
        ...


class SystemClock:
    """The machine's clock, from `not_before_us` on."""

    __slots__ = ("_base_us",)

    def __init__(self, not_before_us: int = 0) -> None:
        started_ns = max(time.time_ns(), not_before_us * 1000)  # noqa: TID251 - the one place
        self._base_us = (started_ns - time.clock_gettime_ns(_UPTIME)) // 1000

    def now_us(self) -> int:
        return self._base_us + _uptime_ns(_UPTIME) // 1000

    def uptime_us(self) -> int | None:
        return _uptime_ns(_UPTIME) // 1000

    def not_before(self, at_us: int) -> None:
        """Never answer less than `at_us` from now on (the newest record's time, R6)."""
        behind_us = at_us - self.now_us()
        if behind_us > 0:
            self._base_us += behind_us


class ManualClock:
    """A clock that stands still until it is moved: tests and simulations."""

    __slots__ = ("_now_us",)

    def __init__(self, now_us: int = 1_800_000_000_000_000) -> None:
        self._now_us = now_us

    def now_us(self) -> int:
        return self._now_us

    def uptime_us(self) -> int | None:
        return None

    def advance(self, seconds: float) -> None:
        """Move forward; time never goes back."""
        assert seconds >= 0
        self._now_us += round(seconds * 1_000_000)

    def not_before(self, at_us: int) -> None:
        self._now_us = max(self._now_us, at_us)
