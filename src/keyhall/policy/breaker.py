"""When an engine that fails is left alone, and how often a request is sent again (I-17).

A breaker is *closed* in health. Ten failures in a row open it, or failures alone for five seconds:
then nobody is sent to the engine. After a while one request may try (the breaker is *half open*);
if it fails the next try is twice as far off, up to eight seconds. The first answer closes it, and
everybody may come again: at most eight seconds and one answer's time after the engine is back.
Times are microseconds on any clock that never goes back.
"""

from typing import Literal

State = Literal["closed", "half_open", "open"]

FAILURES_MAX = 10  # in a row
FAILING_US_MAX = 5_000_000  # nothing but failures, two at least
WAIT_US_MIN = 1_000_000  # as long as a restarted process needs to listen again
WAIT_US_MAX = 8_000_000  # with the 20 s that an answer may take, full rate is back within 30 s
# Of requests that are sent again: one for ten that were answered, ten in hand at the start and at
# most a hundred later.
CALLS_PER_RETRY = 10
RETRIES_AT_START = 10
RETRIES_IN_HAND_MAX = 100


class Breaker:
    """Of one engine. Ask `wait_us`; if it is 0 the request may go: say `begin`. Then say how it
    came out, once: `answered` at its first byte, or `failed` before that."""

    __slots__ = ("_failing_since_us", "_is_open", "_is_tried", "_next_us", "_wait_us", "failures")

    def __init__(self) -> None:
        self.failures = 0  # in a row
        self._failing_since_us = 0
        self._is_open = False
        self._is_tried = False  # while open: a request has gone to see
        self._next_us = 0  # and when another may
        self._wait_us = 0

    def state(self, now_us: int) -> State:
        if not self._is_open:
            return "closed"
        return "open" if now_us < self._next_us else "half_open"

    def wait_us(self, now_us: int) -> int:
        """Until a request may go; 0 if one may go now."""
        return max(0, self._next_us - now_us) if self._is_open else 0

    def begin(self, now_us: int) -> None:
        """A request goes. While open it is the one that tries: the next may when this one has had
        as long as the engine was left alone. One that hangs thus keeps few others waiting."""
        if self._is_open:
            self._is_tried = True
            self._next_us = now_us + self._wait_us

    def failed(self, now_us: int) -> None:
        """A request failed before its first byte. While open, only one that tries tells anything:
        the others went before."""
        if self._is_open:
            if self._is_tried:
                self._is_tried = False
                self._wait_us = min(2 * self._wait_us, WAIT_US_MAX)
                self._next_us = now_us + self._wait_us
            return
        self.failures += 1
        if self.failures == 1:
            self._failing_since_us = now_us
        is_long = self.failures > 1 and now_us - self._failing_since_us >= FAILING_US_MAX
        if self.failures >= FAILURES_MAX or is_long:
            self._is_open = True
            self._is_tried = False
            self._wait_us = WAIT_US_MIN
            self._next_us = now_us + WAIT_US_MIN

    def answered(self) -> None:
        """The engine works."""
        self.failures = 0
        self._is_open = False


class RetryBudget:
    """How often requests may be sent again: never more than one in ten of those that were sent,
    and ten."""

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls = RETRIES_AT_START * CALLS_PER_RETRY

    def earn(self, calls: int) -> None:
        """So many requests were answered."""
        self._calls = min(self._calls + calls, RETRIES_IN_HAND_MAX * CALLS_PER_RETRY)

    def take(self) -> bool:
        """Whether a request may be sent again; it counts as sent."""
        if self._calls < CALLS_PER_RETRY:
            return False
        self._calls -= CALLS_PER_RETRY
        return True
