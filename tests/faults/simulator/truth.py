"""The truth of a simulated world: every request ever admitted, in full, and what must hold of it.

Slow and obvious on purpose: sums are made anew each time from the whole log.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from keyhall.policy.limits import WINDOW_US, Refused, WindowLimits
from keyhall.policy.metering import Outcome, Usage

SLOT_US = 1_000_000  # A slot stays until 60 s after its last admission: up to a second longer.
State = Literal["open", "settled", "crashed"]


@dataclass(slots=True, eq=False)
class Request:
    """One admitted request, seen from outside. Times: its process's clock, and the real one."""

    id: bytes
    worker: int
    windows: tuple[WindowLimits, ...]
    at_us: int
    real_us: int
    input: int
    cap: int
    hold: Any
    entry: Any = None
    state: State = "open"
    is_certain: bool = False  # the journal said that it has it
    is_accepted: bool = False
    told: int = 0  # tokens that the journal was told of,
    delivered: int = 0  # and those that went to the client after that
    settled: Usage | None = None  # what the ledger said that it recorded
    row: Usage | None = None  # what it did record

    @property
    def held(self) -> int:
        return self.input + self.cap

    def counted(self) -> int:
        """Tokens that limits are about: held while nobody knows better."""
        found = self.row or self.settled
        return self.held if found is None else found.input_tokens + found.output_tokens


@dataclass(slots=True)
class Truth:
    log: list[Request] = field(default_factory=list)
    turned_away: list[Request] = field(default_factory=list)  # the journal was full: counted only

    def of(self, window: WindowLimits) -> list[Request]:
        """Those that count in a window. One whose process was killed before its journal had it was
        never admitted."""
        return [
            each
            for each in self.log
            if any(one.id == window.id for one in each.windows)
            and (each.is_certain or each.state == "open" or each.row is not None)
        ]

    def check_admitted(self, request: Request, jumped_at_us: int) -> None:
        """R1, where it was admitted: with it, no window of the last 60 s holds more than its limit.
        Every interval of 60 s ends at some admission, so none ever does. By the process's clock,
        and by real time; of processes that share a folder, since the last start of this one with a
        clock that had been set forward."""
        for window in request.windows:
            mine = [each for each in self.of(window) if each is not request]
            mine.append(request)
            self._check(window, [each for each in mine if each.at_us > request.at_us - WINDOW_US])
            since_us = max(request.real_us - WINDOW_US, jumped_at_us)
            self._check(window, [each for each in mine if each.real_us > since_us])
            lanes = window.limits.in_flight
            flying = sum(each.state == "open" for each in mine)
            assert lanes is None or flying <= lanes, f"{flying} in flight of {lanes}: {window}"

    def _check(self, window: WindowLimits, inside: list[Request]) -> None:
        requests, tokens = window.limits.requests_per_minute, window.limits.tokens_per_minute
        used = sum(each.counted() for each in inside)
        assert requests is None or len(inside) <= requests, f"{len(inside)} requests: {window}"
        assert tokens is None or used <= tokens, f"{used} tokens: {window}"
        assert used >= 0

    def check_refused(
        self,
        refused: Refused,
        windows: tuple[WindowLimits, ...],
        tokens: int,
        now_us: int,
        real_us: int,
    ) -> None:
        """R2: a refusal names a limit that is really in the way, give or take a slot's second: by
        the process's clock or, where that was set forward at its start, by real time."""
        (window,) = (each for each in windows if each.scope == refused.scope)
        known = self.of(window)
        known += [
            each for each in self.turned_away if any(one.id == window.id for one in each.windows)
        ]
        span_us = WINDOW_US + SLOT_US
        recent = [
            each
            for each in known
            if each.at_us > now_us - span_us or each.real_us > real_us - span_us
        ]
        limits = window.limits
        reasons = {
            "requests": (limits.requests_per_minute, len(recent) + 1),
            "tokens": (limits.tokens_per_minute, tokens + sum(each.counted() for each in recent)),
            "in_flight": (limits.in_flight, 1 + sum(each.state == "open" for each in known)),
        }
        limit, wanted = reasons[refused.resource]
        assert limit is not None, refused
        assert wanted > limit, f"{wanted} would fit: {refused}"

    def compare(self, rows: Mapping[str, Usage]) -> None:
        """R17, I-1: in the end every request has its record, and nobody else has one."""
        known = {each.id.hex(): each for each in self.log}
        assert rows.keys() <= known.keys(), "a record of nobody's request"
        for request_id, request in known.items():
            row = rows.get(request_id)
            assert row is not None or not request.is_certain, f"no record of {request}"
            if row is not None:
                check_row(request, row)


def check_row(request: Request, row: Usage) -> None:
    """Every delivered token is in its record once, and nothing that nobody produced."""
    where = f"{request}: {row}"
    assert row.admitted_at_us == request.at_us, where
    assert row.held_tokens == request.held, where
    if request.settled is not None:
        assert row == request.settled, where
        return
    assert request.delivered <= row.output_tokens <= request.told, where
    assert row.input_tokens in (0, request.input), where
    if request.is_accepted or request.delivered:
        assert row.input_tokens == request.input, where
    assert row.outcome in (Outcome.CRASHED, Outcome.ANSWERED, Outcome.CLIENT_LEFT) or (
        row.outcome == Outcome.ENGINE_FAILED and not row.output_tokens
    ), where
