"""The windows of this process's callers, looked up once per tuple of `WindowLimits`.

Callers pass the same tuple until something about them changes, so what follows from it is kept as
a plan. Memory is bounded by what is in use: with every new plan a few old ones are looked at, and
those that nothing needs any more are forgotten together with their windows.
"""

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from keyhall.policy.limits import WindowLimits
from keyhall.policy.window import Window

_SWEEP = 4  # Old plans looked at per new one: more than two, so that forgetting outruns making.


class Shared(Window):
    """A window, its name, and how many plans use it."""

    __slots__ = ("id", "plans")

    def __init__(self, id: str) -> None:
        super().__init__()
        self.id = id
        self.plans = 0


W = TypeVar("W", bound=Shared)


class Plan(msgspec.Struct, Generic[W], eq=False):
    """One caller's windows. `asked` is kept alive here, so that its id stays its own."""

    asked: tuple[WindowLimits, ...]
    windows: tuple[W, ...]
    is_used: bool = True  # since the sweep last came by


P = TypeVar("P", bound=Plan)  # type: ignore[type-arg]


class Plans(Generic[P, W]):
    """`by_id` finds a plan by the id() of its tuple; `windows` a window by its name."""

    def __init__(
        self,
        window: Callable[[str], W],
        plan: Callable[[tuple[WindowLimits, ...], tuple[W, ...]], P],
    ) -> None:
        self.by_id: dict[int, P] = {}
        self.windows: dict[str, W] = {}
        self._window = window
        self._plan = plan
        self._rounds: deque[P] = deque()  # The same plans, in the order of the sweep.

    def make(self, asked: tuple[WindowLimits, ...], now_us: int) -> P:
        self._sweep(now_us)
        windows = []
        for each in asked:
            window = self.windows.get(each.id)
            if window is None:
                window = self.windows[each.id] = self._window(each.id)
            window.plans += 1
            windows.append(window)
        plan = self.by_id[id(asked)] = self._plan(asked, tuple(windows))
        self._rounds.append(plan)
        return plan

    def _sweep(self, now_us: int) -> None:
        """Forget a plan that was not used for a round, unless its windows still count something
        and nobody else would keep them. While windows are rebuilt, now is the record's time."""
        for _ in range(min(_SWEEP, len(self._rounds))):
            plan = self._rounds.popleft()
            if plan.is_used or any(_is_needed(window, now_us) for window in plan.windows):
                plan.is_used = False
                self._rounds.append(plan)
                continue
            del self.by_id[id(plan.asked)]
            for window in plan.windows:
                window.plans -= 1
                if not window.plans:
                    del self.windows[window.id]


def _is_needed(window: Shared, now_us: int) -> bool:
    """Only this plan keeps the window, and it counts something."""
    if window.plans > 1:
        return False
    if now_us >= window.turn_us:
        window.turn(now_us)
    return not window.is_idle()
