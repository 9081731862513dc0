"""The sliding window: what was admitted in the last 60 s, in slots of one second (R2, R3).

A slot has its second, its sums and the time of its last admission; it leaves 60 s after that time.
So in every interval of 60 s the newest admission was checked against all earlier ones, and the sum
never passes the limit (R1); token buckets and two-counter windows admit up to twice as much.

The newest slot is kept in attributes, because nearly everything happens in it; the others are
packed rows of 32 bytes, oldest first. Sums are kept up to date, so that a check costs the same
however much was admitted. The counters' hot path reads and writes the attributes itself.
"""

from bisect import bisect_left
from collections.abc import Iterable
from struct import Struct

from keyhall.policy.limits import WINDOW_US

SECOND_US = 1_000_000

_ROW = Struct("qqqII")  # A closed slot: last admission, tokens, held tokens, requests, open holds.
_ROW_BYTES = _ROW.size
_read, _rows_of = _ROW.unpack_from, _ROW.iter_unpack

Slot = tuple[int, int, int, int, int]  # The same, as numbers.


class Window:
    """One scope's window. It is fed with times that never decrease.

    Newest slot: `begins_us` (its second), `last_us` (its last admission), `requests`, `tokens`
    (used and held together), `held` (tokens of open holds), `open` (open holds). Closed slots
    together: `past_requests`, `past_tokens`. `past_open` counts the other open holds, also those
    whose slot has left. All of it is true only until `turn_us`; then call `turn` first.
    """

    __slots__ = (
        "_rows",
        "begins_us",
        "held",
        "last_us",
        "open",
        "past_open",
        "past_requests",
        "past_tokens",
        "requests",
        "tokens",
        "turn_us",
    )

    def __init__(self) -> None:
        self.begins_us = self.last_us = self.turn_us = 0
        self.requests = self.tokens = self.held = self.open = 0
        self.past_requests = self.past_tokens = self.past_open = 0
        self._rows = bytearray()

    @classmethod
    def of(cls, newest: Slot, closed: Iterable[Slot], begins_us: int) -> "Window":
        """A window made of its slots, oldest first; `begins_us` is the second of the newest."""
        window = cls()
        for slot in closed:
            window._rows += _ROW.pack(*slot)
            window.past_tokens += slot[1]
            window.past_requests += slot[3]
            window.past_open += slot[4]
        window.begins_us = window.turn_us = begins_us  # To be turned before it is read.
        window.last_us, window.tokens, window.held, window.requests, window.open = newest
        return window

    def slots(self) -> list[Slot]:
        """All slots that count something, oldest first."""
        closed: list[Slot] = list(_rows_of(self._rows))
        if self.requests:
            newest = self.last_us, self.tokens, self.held, self.requests, self.open
            closed.append(newest)
        return closed

    def turn(self, now_us: int) -> None:
        """Close the newest slot if its second is over, and drop the slots whose time has come."""
        if now_us >= self.begins_us + SECOND_US:
            if self.requests:
                self._rows += _ROW.pack(
                    self.last_us, self.tokens, self.held, self.requests, self.open
                )
                self.past_requests += self.requests
                self.past_tokens += self.tokens
                self.past_open += self.open
                self.requests = self.tokens = self.held = self.open = 0
            self.begins_us = now_us - now_us % SECOND_US
        turn_us = self.begins_us + SECOND_US
        rows = self._rows
        while rows:
            last_us, tokens, _, requests, _ = _read(rows)
            leaves_us = last_us + WINDOW_US
            if leaves_us > now_us:
                if leaves_us < turn_us:
                    turn_us = leaves_us
                break
            self.past_requests -= requests
            self.past_tokens -= tokens
            del rows[:_ROW_BYTES]  # From a bytearray's front this moves nothing.
        self.turn_us = turn_us

    def take(self, now_us: int, tokens: int) -> None:
        """Count one request and hold `tokens`; whether they fit is the caller's business."""
        self.requests += 1
        self.tokens += tokens
        self.held += tokens
        self.open += 1
        self.last_us = now_us

    def settle(self, admitted_at_us: int, held: int, tokens: int) -> None:
        """Replace a hold by `tokens` in the slot where it was taken (R3). Once per hold."""
        if admitted_at_us >= self.begins_us:
            self.tokens += tokens - held
            self.held -= held
            self.open -= 1
        else:
            self.settle_closed(admitted_at_us, held, tokens)

    def settle_closed(self, admitted_at_us: int, held: int, tokens: int) -> None:
        """`settle` for a hold older than the newest slot; if its slot has left, no sum changes."""
        self.past_open -= 1
        rows = self._rows
        second_us = admitted_at_us - admitted_at_us % SECOND_US
        starts = range(0, len(rows), _ROW_BYTES)
        index = bisect_left(starts, second_us, key=lambda start: _read(rows, start)[0])
        if index == len(starts):
            return
        start = starts[index]
        last_us, total, slot_held, requests, slot_open = _read(rows, start)
        if last_us >= second_us + SECOND_US:
            return
        total += tokens - held
        _ROW.pack_into(rows, start, last_us, total, slot_held - held, requests, slot_open - 1)
        self.past_tokens += tokens - held

    def open_holds(self) -> int:
        """Open holds of all times, for limits on requests in flight."""
        return self.past_open + self.open

    def held_requests(self) -> int:
        """Requests in the window whose hold is open."""
        held: int = sum(row[4] for row in _rows_of(self._rows))
        return self.open + held

    def held_tokens(self) -> int:
        """Tokens in the window of holds that are open."""
        held: int = sum(row[2] for row in _rows_of(self._rows))
        return self.held + held

    def is_idle(self) -> bool:
        """Nothing is counted and no hold is open: forgetting the window changes no answer."""
        return not (self.requests or self.past_requests or self.open or self.past_open)

    def empty_at_us(self) -> int:
        """When the last slot leaves; 0 if there is none."""
        if self.requests:
            return self.last_us + WINDOW_US
        return max((row[0] + WINDOW_US for row in _rows_of(self._rows)), default=0)

    def requests_free_at_us(self, excess: int) -> int:
        """When leaving slots have freed `excess` requests, no more than are in the window."""
        return self._free_at_us(3, excess)

    def tokens_free_at_us(self, excess: int) -> int:
        """When leaving slots have freed `excess` tokens, no more than are in the window."""
        return self._free_at_us(1, excess)

    def _free_at_us(self, column: int, excess: int) -> int:
        last_us = self.last_us
        for row in _rows_of(self._rows):
            excess -= row[column]
            if excess <= 0:
                last_us = row[0]
                break
        return last_us + WINDOW_US
