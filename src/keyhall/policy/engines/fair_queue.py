"""Whose turn it is where few can be served at once: nobody waits behind the crowd of another.

Whoever comes says for whom (a key) and how many places are needed. Free places go to the key that
holds the fewest at that moment; of several, to the one that was served the longest ago, or has
waited the longest for its first time; within a key in the order in which its requests came. So a
key that waits with one request beside a key with a thousand is next, and two that both have work
share the places by halves. A request that needs several places keeps those that come free until it
has them: the narrow do not starve the wide.

What waits is bounded, for each key and for all: one key cannot fill the queue for the others, since
a key may have no more than its part of it.
"""

from collections import OrderedDict, deque
from typing import Generic, Literal, TypeVar

T = TypeVar("T")

Entered = Literal["goes", "waits", "full", "key_full"]


class FairQueue(Generic[T]):
    """Say `enter`; then, once for each that went, `done`, or `leave` for one that waits no longer.
    After either ask `next` until it gives None."""

    __slots__ = ("_held", "_since", "_turn", "_waiting", "count", "free", "is_open", "most",
                 "most_of_key", "places")  # fmt: skip

    def __init__(self, places: int, *, most: int, most_of_key: int) -> None:
        self.places = places
        self.free = places
        self.most = most  # that wait
        self.most_of_key = most_of_key
        self.count = 0  # of those that wait
        self.is_open = True  # closed, everybody waits
        self._waiting: OrderedDict[str, deque[tuple[T, int]]] = OrderedDict()
        self._held: dict[str, int] = {}  # places by key
        # When each key that waits or holds was last served or began to wait, in half turns.
        self._since: dict[str, int] = {}
        self._turn = 0

    def enter(self, key: str, item: T, places: int = 1) -> Entered:
        """Whether it goes at once. At most `self.places` can be asked for."""
        if self.is_open and not self.count and places <= self.free:
            self._take(key, places)
            return "goes"
        if self.count >= self.most:
            return "full"
        mine = self._waiting.get(key)
        if mine is None:
            mine = self._begin(key)
        elif len(mine) >= self.most_of_key:
            return "key_full"
        mine.append((item, places))
        self.count += 1
        return "waits"

    def back(self, key: str, item: T, places: int = 1) -> None:
        """One that went comes back, whatever the bounds: before all others of its key."""
        mine = self._waiting.get(key)
        if mine is None:
            mine = self._begin(key)
        mine.appendleft((item, places))
        self.count += 1

    def next(self) -> T | None:
        """Who goes now; it then holds its places."""
        if not self.count or not self.is_open:
            return None
        key = min(self._waiting, key=self._rank)
        mine = self._waiting[key]
        item, places = mine[0]
        if places > self.free:
            return None
        mine.popleft()
        self.count -= 1
        if not mine:
            del self._waiting[key]
        self._take(key, places)
        return item

    def leave(self, key: str, item: T) -> bool:
        """One that waits goes away; False if it does not wait."""
        mine = self._waiting.get(key, ())
        for at, (other, _) in enumerate(mine):
            if other is item:
                del self._waiting[key][at]
                self.count -= 1
                if not self._waiting[key]:
                    del self._waiting[key]
                    self._forget(key)
                return True
        return False

    def done(self, key: str, places: int = 1) -> None:
        """Places of a key are free again."""
        self.free += places
        held = self._held.get(key, 0) - places
        if held > 0:
            self._held[key] = held
        else:
            self._held.pop(key, None)
            self._forget(key)

    def ahead(self, key: str) -> int:
        """How many would go before one of this key that came now; 0: it would go at once, or as
        soon as it may."""
        mine = len(self._waiting.get(key, ()))
        others = [len(each) for name, each in self._waiting.items() if name != key]
        return mine + sum(min(each, mine + 1) for each in others)

    def waiting(self) -> list[tuple[str, T]]:
        """All that wait, by key."""
        return [(key, item) for key, each in self._waiting.items() for item, _ in each]

    def _rank(self, key: str) -> tuple[int, int]:
        return self._held.get(key, 0), self._since[key]

    def _begin(self, key: str) -> deque[tuple[T, int]]:
        self._since.setdefault(key, 2 * self._turn)  # Before whoever was served in this turn.
        mine = self._waiting[key] = deque()
        return mine

    def _take(self, key: str, places: int) -> None:
        self._turn += 1
        self._since[key] = 2 * self._turn + 1
        self.free -= places
        self._held[key] = self._held.get(key, 0) + places

    def _forget(self, key: str) -> None:
        if key not in self._waiting and key not in self._held:
            self._since.pop(key, None)
