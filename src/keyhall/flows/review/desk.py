"""The desk: what reviews need of the hall, and who waits for a decision."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from keyhall.clock import Clock
from keyhall.flows.filters.table import Filters
from keyhall.flows.review.texts import Texts
from keyhall.flows.review.throttle import Throttle
from keyhall.policy.filters.rules import Rule
from keyhall.policy.review.judging import Outcome
from keyhall.ports.content import Content
from keyhall.ports.review import Backlog, Item
from keyhall.stores.sql import SqlStore

Judge = Callable[[Sequence[Rule], str], Awaitable[Rule | None]]
By = Literal["person", "deadline"]
WAITING_MAX = 1_000  # callers of one process that wait for a person: each holds a connection


@dataclass(slots=True)
class Desk:
    """Made once, at the start; commands make one of their own. `digest` is keyed with the pepper:
    it tells whether two texts are the same, and nothing of them. `filters` is what corrections have
    to pass; `judge` asks the models that stand in it, which only a server can."""

    store: SqlStore
    clock: Clock
    content: Content
    digest: Callable[[bytes], bytes]
    filters: Filters | None = None
    judge: Judge | None = None
    throttle: Throttle = field(default_factory=Throttle)
    backlog: Backlog = field(default_factory=Backlog)  # as of some seconds ago
    decided: Counter[tuple[Outcome, By]] = field(default_factory=Counter)  # by this process
    _waiting: dict[str, set[asyncio.Event]] = field(default_factory=dict)

    @property
    def texts(self) -> Texts:
        return Texts(self.content)

    def digest_of(self, text: str | None) -> bytes:
        return b"" if text is None else self.digest(text.encode())[:16]

    def count(self, item: Item) -> None:
        """A decision was made, perhaps to be taken back."""
        if item.outcome is not None:
            self.decided[item.outcome, "deadline" if item.state == "expired" else "person"] += 1

    # --- Who waits ------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    def changed(self, request_id: str) -> None:
        """An item was moved, here or by another process."""
        for event in self._waiting.get(request_id, ()):
            event.set()

    async def wait(self, request_id: str, seconds: float) -> bool:
        """Until the item is moved, so long at most. False: the time is over."""
        event = asyncio.Event()
        self._waiting.setdefault(request_id, set()).add(event)
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return False
        finally:
            events = self._waiting[request_id]
            events.discard(event)
            if not events:
                del self._waiting[request_id]
        return True
