"""Who answers instead: the versions that an alias falls back to, before the first byte only.

Before the hold: an engine that is not there, or that its breaker leaves alone, is passed over.
After it: a request whose engine failed before its first byte, so that nothing was charged (R5),
goes to the next version that the hold covers, with that version's own tokenizer, limits and price.
No engine is asked twice, and a version that a caller named by its own name is answered by nobody
else.
"""

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.flows import admit
from keyhall.flows.admit import Fit
from keyhall.flows.callers import Caller
from keyhall.flows.hall import Hall
from keyhall.flows.tab import Tab
from keyhall.policy import catalogue, holds
from keyhall.policy.catalogue import Version
from keyhall.ports.engine import Engine
from keyhall.wire.chat import ChatRequest

# What an engine's failure is. Of any other row the request is the cause, or we are.
ILL = frozenset({errors.ENGINE_FAILED.name, errors.ENGINE_BUSY.name, errors.ENGINE_TIMEOUT.name})


async def choose(
    request: ChatRequest, version: Version, caller: Caller, hall: Hall
) -> tuple[Version, Engine, Fit]:
    """The version, its engine and its fit, or those of the first that can answer instead. Raises
    what the version itself is refused with if there is nobody."""
    now_us = hall.clock.now_us()
    failure: ApiError | None = None
    if _may_ask(version, hall, now_us):
        engine = admit.engine_of(version, hall)
        try:
            return version, engine, await admit.fit(request, version, caller, hall)
        except ApiError as error:
            if error.problem.name not in ILL:
                raise
            failure = error  # It counts by itself, and is not there.
    for other in _others(request, version, caller, hall, now_us):
        if _may_ask(other, hall, now_us):
            try:
                fit = await admit.fit(request, other, caller, hall)
            except ApiError:
                continue  # It does not fit that one.
            fit.lines += _told(version)
            return other, admit.engine_of(other, hall), fit
    if failure is not None:
        raise failure
    raise _left_alone(version, admit.engine_of(version, hall), hall, now_us)


def _may_ask(version: Version, hall: Hall, now_us: int) -> bool:
    engine = hall.engines.get(version.engine)
    return engine is not None and not hall.breakers.wait_us(engine, now_us)


def _others(
    request: ChatRequest, version: Version, caller: Caller, hall: Hall, now_us: int
) -> list[Version]:
    """Whose tokens this caller may pay for, and that are not retired."""
    if caller.grant.mode == "test":
        return []  # The sandbox answers for every version.
    return [
        other
        for other in hall.catalogue.instead(request.model)
        if other.engine != version.engine
        and catalogue.status_at(other, now_us) != "retired"
        and (not caller.grant.has_budget or _is_covered(version, other, hall))
    ]


def _is_covered(version: Version, other: Version, hall: Hall) -> bool:
    """Whether what is held for one pays for the other. For an upstream all of it is held at the
    dearer of its two prices; for an engine that counts itself it need not be."""
    price, dearer = version.price, other.price
    engine, instead = hall.engines.get(version.engine), hall.engines.get(other.engine)
    if price is None or dearer is None or instead is None:
        return False
    if engine is not None and engine.counts_tokens and not instead.counts_tokens:
        return False
    return dearer.input <= price.input and dearer.output <= price.output


def _told(version: Version) -> bytes:
    return b"x-keyhall-fallback: from=%b\r\n" % version.name.encode()


def _left_alone(version: Version, engine: Engine, hall: Hall, now_us: int) -> ApiError:
    wait_us = max(hall.breakers.wait_us(engine, now_us), 1_000_000)
    why = "has failed many times in a row and is left alone for a while"
    if hall.breakers.is_drained(engine):
        why = "takes no new requests for a while: its operator is at work"
    return ApiError(
        errors.ENGINE_BUSY,
        headers=(
            (b"retry-after", b"%d" % -(-wait_us // 1_000_000)),
            (b"retry-after-ms", b"%d" % -(-wait_us // 1_000)),
        ),
        detail=f"The engine of {version.name} {why}.",
    )


# --- After the hold -------------------------------------------------------------------------------


class Attempts:
    """The engines that a request was sent to in vain, and who is next."""

    def __init__(self, request: ChatRequest, tab: Tab, caller: Caller, hall: Hall) -> None:
        self._request = request
        self._tab = tab
        self._caller = caller
        self._hall = hall
        self._first = tab.version
        self._first_fit = tab.fit
        self._tried = {tab.version.engine}

    def failed(self, failure: ApiError) -> bool:
        """Tell the engine's breaker of a failure. True if somebody else may try: the answer had
        not begun, and the engine is the cause."""
        tab, breakers = self._tab, self._hall.breakers
        if tab.has_begun:
            return False
        now_us = self._hall.clock.now_us()
        if failure.problem.name in ILL:
            breakers.failed(tab.engine, now_us)
            return True
        if failure.problem is errors.ENGINE_QUEUE_FULL:
            return True  # It works, for others.
        if failure.problem is errors.ENGINE_REJECTED:
            breakers.answered(tab.engine, now_us)  # It works, and has judged the request.
        return False

    async def next(self) -> bool:
        """Turn the tab to the next version that can answer; False if there is none."""
        hall, first = self._hall, self._first
        now_us = hall.clock.now_us()
        for other in _others(self._request, first, self._caller, hall, now_us):
            if other.engine not in self._tried and _may_ask(other, hall, now_us):
                fit = await self._fit(other)
                engine = hall.engines.get(other.engine)
                if fit is not None and engine is not None:
                    self._tried.add(other.engine)
                    self._tab.turn_to(other, engine, fit)
                    return True
        return False

    async def _fit(self, other: Version) -> Fit | None:
        """As it would fit that version, with the cap that its caller was promised; None if the
        version's limits or the hold do not cover it."""
        request, first = self._request, self._first_fit
        asked = request.asked_cap
        if asked is not None and asked > other.max_output_tokens:
            return None
        try:
            count = await admit.count(request, other, self._caller, self._hall)
        except ApiError:
            return None  # Its engine counts, and is not there.
        if count > other.max_input_tokens:
            return None
        cap = min(first.output_cap, other.max_output_tokens)
        needed = holds.input_tokens(other, count, admit.tools(request))
        held = holds.hold_tokens(needed, first.choices, cap)
        if held > self._tab.held_tokens:
            return None
        lines = admit.lines_of(other, cap) + _shortened(first) + _told(self._first)
        return Fit(count, cap, first.choices, held, lines)


def _shortened(fit: Fit) -> bytes:
    """What a request was shortened by, as its caller is told."""
    lines = fit.lines.splitlines(keepends=True)
    return b"".join(line for line in lines if line.startswith(b"x-keyhall-truncated:"))
