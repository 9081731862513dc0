"""The breakers of a hall's engines: only of those that have failed since they last answered.

In health there is none, so that a request tests one thing that is empty. Each change of a
breaker's state is one line in the log. The sandbox has none: it fails on purpose only. An engine
that the operator drains is one of them for as long, and nobody is sent to it.
"""

import logging
from collections.abc import Container, Mapping

import msgspec

from keyhall.policy.breaker import Breaker, State
from keyhall.ports.engine import Engine

SANDBOX = "sandbox"
DRAINED_WAIT_US = 30_000_000  # when to come again while an engine is drained: nobody knows

_log = logging.getLogger("keyhall")


class _Watched(msgspec.Struct, eq=False):
    engine: Engine  # another engine of the same name begins anew
    breaker: Breaker
    told: State = "closed"  # what the log said last
    is_drained: bool = False  # the operator's word: it stays here whatever the engine does


class Breakers(dict[str, _Watched]):
    """By the engines' names; empty while all is well."""

    def wait_us(self, engine: Engine, now_us: int) -> int:
        """How long the engine is to be left alone; 0 if a request may go to it."""
        watched = self._of(engine)
        if watched is None:
            return 0
        wait_us = watched.breaker.wait_us(now_us)
        return max(wait_us, DRAINED_WAIT_US) if watched.is_drained else wait_us

    def begin(self, engine: Engine, now_us: int) -> None:
        """A request goes to the engine."""
        watched = self._of(engine)
        if watched is not None:
            self._tell(watched, now_us)
            watched.breaker.begin(now_us)

    def failed(self, engine: Engine, now_us: int) -> None:
        """A request failed before its first byte."""
        if engine.name == SANDBOX:
            return
        watched = self._of(engine)
        if watched is None:
            watched = self[engine.name] = _Watched(engine, Breaker())
        watched.breaker.failed(now_us)
        self._tell(watched, now_us)

    def answered(self, engine: Engine, now_us: int) -> None:
        """The first byte of an answer has come."""
        watched = self._of(engine)
        if watched is not None:
            if not watched.is_drained:
                del self[engine.name]
            watched.breaker.answered()
            self._tell(watched, now_us)

    def keep(self, engines: Mapping[str, Engine], drained: Container[str] = ()) -> None:
        """Forget engines that are not there any more, and know which ones are drained."""
        for name, watched in list(self.items()):
            was_drained, watched.is_drained = watched.is_drained, name in drained
            is_over = was_drained and not watched.is_drained and not watched.breaker.failures
            if engines.get(name) is not watched.engine or is_over:
                del self[name]
        for name, engine in engines.items():
            if name in drained and name not in self:
                self[name] = _Watched(engine, Breaker(), is_drained=True)

    def is_drained(self, engine: Engine) -> bool:
        watched = self._of(engine)
        return watched is not None and watched.is_drained

    def state(self, engine: Engine, now_us: int) -> State:
        watched = self._of(engine)
        return "closed" if watched is None else watched.breaker.state(now_us)

    def trouble(self, engine: Engine, now_us: int) -> str | None:
        """Why nobody is sent to the engine, for the operator; None if requests go to it."""
        watched = self._of(engine)
        if watched is None:
            return None
        if watched.is_drained:
            return "it is drained: no new requests go to it"
        if watched.breaker.state(now_us) == "closed":
            return None
        times = watched.breaker.failures
        wait_us = watched.breaker.wait_us(now_us)
        again = f"in {-(-wait_us // 1_000_000)} s" if wait_us else "by the next request"
        return f"requests failed {times} times in a row; it is tried again {again}"

    def _of(self, engine: Engine) -> _Watched | None:
        watched = self.get(engine.name)
        return watched if watched is not None and watched.engine is engine else None

    def _tell(self, watched: _Watched, now_us: int) -> None:
        state = watched.breaker.state(now_us)
        if state != watched.told:
            watched.told = state
            level = logging.WARNING if state == "open" else logging.INFO
            facts = {"engine": watched.engine.name, "state": state}
            if state == "open":
                facts["failures"] = str(watched.breaker.failures)
            _log.log(level, "engine_state", facts)
