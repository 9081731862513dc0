"""The counters port: holds over all limits of a request at once (R1-R7)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from keyhall.policy.holders.levels import Level
from keyhall.policy.limits import Facts, Refused, WindowLimits


class CountersUnfit(Exception):
    """What the settings name cannot count for us; the message says why, and what to do."""


class Hold(Protocol):
    """A taken reservation. Ends in exactly one `settle` or `cancel`; later calls do nothing."""

    @property
    def admitted_at_us(self) -> int: ...
    @property
    def tokens(self) -> int: ...
    @property
    def facts(self) -> Facts: ...


@dataclass(frozen=True, slots=True)
class Past:
    """A request of the last 61 s, from ledger or journal, to rebuild a window with (R6)."""

    windows: tuple[WindowLimits, ...]
    admitted_at_us: int
    tokens: int


class Counters(Protocol):
    """Atomic over all windows: a request is counted in every one of them or in none."""

    async def hold(self, windows: tuple[WindowLimits, ...], tokens: int) -> Hold | Refused:
        """Take one request and `tokens` tokens in each window, now; or refuse and count nothing."""
        ...

    def settle(self, hold: Hold, tokens: int) -> None:
        """Replace the hold by `tokens` in the slot where it was taken (R3). Never waits."""
        ...

    def cancel(self, hold: Hold) -> None:
        """Give the tokens back; the request stays counted (R5: the engine failed before its first
        byte). Never waits."""
        ...

    async def levels(self, windows: Sequence[WindowLimits]) -> list[Level]:
        """What each window counts now, for people. Takes nothing, holds nothing, keeps nothing. Of
        all processes together where they can be asked, else of this one."""
        ...

    def rebuild(self, past: Iterable[Past]) -> None:
        """Fill the windows at start. Order does not matter; called before the first hold."""
        ...

    async def start(self) -> None:
        """After `rebuild`: be ready, or know that what counts for all processes is away. Raises
        CountersUnfit if it would be in vain to wait for it."""
        ...

    def degraded(self) -> str | None:
        """Why this process counts by itself, for the operator; None if it need not (R7)."""
        ...

    def open_holds(self) -> int:
        """Holds that are neither settled nor cancelled, for the metrics."""
        ...

    def close(self) -> None: ...
