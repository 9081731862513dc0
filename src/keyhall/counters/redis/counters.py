"""Counters in Redis or Valkey, for many processes: exact, one script per request.

A hold is one script over the windows of key, project and organization: all or none, at Redis' time.
Commands of all requests of a turn share one write. A settle is sent and not waited for; one that is
lost with its connection leaves its hold counted until its slot leaves (R7). While Redis is away or
has forgotten, `link.py` says so and `mirror.py` says how much this process may admit by itself.
"""

import secrets
from collections import deque
from collections.abc import Iterable, Sequence
from functools import partial
from operator import attrgetter
from struct import Struct
from time import monotonic
from typing import Any

import msgspec

from keyhall.clock import Clock
from keyhall.counters.plans import Plans
from keyhall.counters.redis import levels, mirror, resp, telling
from keyhall.counters.redis.address import Address
from keyhall.counters.redis.connection import LOST, REPLY_SECONDS, Ask, Connection
from keyhall.counters.redis.link import KEYS, Link
from keyhall.counters.redis.mirror import Degraded, Mirrored, RedisPlan
from keyhall.counters.redis.telling import NO_HERITAGE, Heritage
from keyhall.counters.refusal import refuse
from keyhall.outbox import Outbox
from keyhall.policy.holders.levels import Level
from keyhall.policy.limits import WINDOW_US, Facts, Refused, WindowLimits
from keyhall.policy.window import Window
from keyhall.ports.counters import CountersUnfit, Hold, Past

LEASE_US = 30_000_000  # A process that renews none for so long is dead, and nothing of it is open.
RENEW_SECONDS = 10.0
UNSENT_MAX = 10_000  # settlements kept while Redis is away; of more, the holds age out
ATTEMPTS = 4  # a new group, a new epoch and a new connection may come together
PUSHED_TOGETHER = 50  # windows; others have their turn in between

NOTE_MARGIN_US = 100_000  # Redis' clock is read anew with each beat, and ours runs on in between.

_ADMITTED = Struct("<qqqqq")
_TIME = Struct("<d")
_SETTLED = Struct("<ddd")
_NOW, _NO_FLAG, _FLAG = b"$0\r\n\r\n", b"$0\r\n\r\n", b"$1\r\n1\r\n"


class RedisHold(msgspec.Struct, eq=False, gc=False):
    """A reservation; `plan` is None once it has ended. `outage`: it was taken without Redis, in the
    outage of this number; 0 if Redis took it."""

    admitted_at_us: int
    tokens: int
    facts: Facts
    plan: RedisPlan | None
    outage: int = 0


class RedisCounters:
    """`keyhall.ports.counters.Counters` for one event loop. `rebuild` first, then the first
    `hold` connects, or `start`."""

    def __init__(
        self,
        address: Address,
        clock: Clock,
        outbox: Outbox,
        *,
        degraded: Degraded = "share",
        expected_processes: int = 1,
        reply_seconds: float = REPLY_SECONDS,
        heritage: Heritage = NO_HERITAGE,
        is_time_given: bool = False,
    ) -> None:
        """`is_time_given`: the clock's time is used instead of Redis', for tests."""
        self._clock = clock
        self._degraded = degraded
        self._is_time_given = is_time_given
        self._name = heritage.name_of(secrets.token_hex(8))
        self._heritage = heritage
        self._untold_since_us = heritage.untold_since_us
        self._told = not self._untold_since_us  # what the note says
        heritage.note(self._untold_since_us)
        self._table = Plans(Mirrored, mirror.plan_of)
        self._plans = self._table.by_id
        self._open_holds = 0
        self._newest_us = 0
        self._unsent: deque[tuple[RedisPlan, int, int, int]] = deque(maxlen=UNSENT_MAX)
        self._past: list[Past] = []
        self.link = Link(
            address,
            outbox,
            name=self._name,
            expected=expected_processes,
            reply_seconds=reply_seconds,
            answers=heritage.answers,
            is_alone=heritage.is_alone,
            alone=self._alone,
            push=self._push,
            beaten=self._beaten,
            window_us=self._now_us,
        )
        self._renewed_at = 0.0

    # --- Holds ------------------------------------------------------------------------------------

    async def hold(self, windows: tuple[WindowLimits, ...], tokens: int) -> RedisHold | Refused:
        """One script. Waits for Redis no longer than it may, whatever happens to it."""
        plan = self._plans.get(id(windows)) or self._table.make(windows, self._now_us())
        plan.is_used = True
        flag = _NO_FLAG
        for _ in range(ATTEMPTS):
            if self.link.mode != "shared":
                decided = await self._decide(plan, tokens)
                if decided is not None:
                    return decided
            connection = self.link.connection
            if connection is None:  # It was lost again since.
                continue
            reply = await self._ask(connection, plan, tokens, flag)
            if reply.__class__ is bytes:
                return self._admitted(plan, tokens, reply)
            if reply.__class__ is list:
                return self._refused(plan, tokens, reply)
            if reply is not LOST:
                flag = await self._flag(connection)
            elif self.link.was_late:
                break
        return self._undecided(plan, tokens)

    async def _decide(self, plan: RedisPlan, tokens: int) -> RedisHold | Refused | None:
        """What this process decides by itself. None: Redis is to be asked."""
        link = self.link
        if link.mode == "looking":
            await link.decided()
            if link.mode == "looking":
                return self._undecided(plan, tokens)
        if link.mode == "away":
            return self._hold_alone(plan, tokens, self._now_us())
        if link.mode == "joining" and self._degraded == "share":
            return self._short_of_share(plan, tokens, self._now_us())
        return None

    async def _ask(self, connection: Connection, plan: RedisPlan, tokens: int, flag: bytes) -> Any:
        """Redis' reply, or LOST."""
        ask = Ask()
        connection.ask(self._hold_command(plan, tokens, flag), ask)
        for window in plan.windows:
            window.asking += 1
        try:
            await ask
        except BaseException:
            # Whoever asked has left. The reply keeps its place; what it grants is given back.
            ask.arm(partial(self._give_back, plan, tokens, ask))
            raise
        for window in plan.windows:
            window.asking -= 1
        return ask.reply

    def _hold_command(self, plan: RedisPlan, tokens: int, flag: bytes) -> bytes:
        number = b"%d" % tokens
        time = resp.arguments(self._clock.now_us()) if self._is_time_given else _NOW
        command = b"%b%b%b$%d\r\n%b\r\n%b%b" % (
            plan.hold,
            self.link.epoch_argument,
            plan.limits,
            len(number),
            number,
            time,
            flag,
        )
        if plan.leases:
            open_ = [window.open_holds() + window.asking for _, window in plan.leases]
            command += resp.arguments(self._name, LEASE_US, *open_)
        return command

    def _admitted(self, plan: RedisPlan, tokens: int, reply: bytes) -> RedisHold:
        now_us, limit_requests, requests_left, limit_tokens, tokens_left = _ADMITTED.unpack(reply)
        if now_us > self._newest_us:
            self._newest_us = now_us
        for window in plan.windows:
            if now_us >= window.turn_us:
                window.turn(now_us)
            window.requests += 1
            window.tokens += tokens
            window.held += tokens
            window.open += 1
            window.last_us = now_us
        self._open_holds += 1
        facts = Facts(
            None if limit_requests < 0 else limit_requests,
            requests_left,
            WINDOW_US,
            None if limit_tokens < 0 else limit_tokens,
            tokens_left,
            WINDOW_US,
            self.link.mode != "shared",
        )
        return RedisHold(now_us, tokens, facts, plan)

    def _refused(self, plan: RedisPlan, tokens: int, reply: list[Any]) -> Refused:
        count = len(plan.windows)
        now_us = int(_TIME.unpack(reply[0])[0])
        flying = iter(reply[count + 1 :])
        windows = [
            mirror.read_window(blob, None if each.limits.in_flight is None else next(flying))
            for each, blob in zip(plan.asked, reply[1 : count + 1], strict=True)
        ]
        return refuse(plan.asked, windows, tokens, now_us)

    async def _flag(self, connection: Connection) -> bytes:
        """The group is of another epoch. If the epoch is ours, the group is new: bring it in."""
        link = self.link
        ask = Ask()
        connection.ask(resp.encode("GET", KEYS[0]), ask)
        await ask
        if ask.reply == link.epoch.encode():
            return _FLAG
        if ask.reply is not LOST:
            await link.beat_now()
        return _NO_FLAG

    def _give_back(self, plan: RedisPlan, tokens: int, ask: Ask) -> None:
        for window in plan.windows:
            window.asking -= 1
        if ask.reply.__class__ is bytes:
            self.cancel(self._admitted(plan, tokens, ask.reply))

    # --- Without Redis ----------------------------------------------------------------------------

    def _undecided(self, plan: RedisPlan, tokens: int) -> RedisHold | Refused:
        """The time is up, and nobody knows whether Redis is away or whether it has counted this.
        Where nothing is limited there is nothing to wait for: a hold that has ended already, for a
        settlement would be sent to a Redis that may never have heard of it."""
        if plan.has_limits:
            return mirror.away(None, "requests", 0, 0, 1, 0)
        return RedisHold(self._now_us(), tokens, Facts(is_degraded=True), None)

    def _hold_alone(self, plan: RedisPlan, tokens: int, now_us: int) -> RedisHold | Refused:
        refused = self._short_of_share(plan, tokens, now_us)
        if refused is not None:
            return refused
        for window in plan.windows:
            if window.alone is None:
                window.alone = Window()
            window.alone.turn(now_us)
            window.take(now_us, tokens)
            window.alone.take(now_us, tokens)
        self._newest_us = max(self._newest_us, now_us)
        self._open_holds += 1
        return RedisHold(now_us, tokens, Facts(is_degraded=True), plan, self.link.outage)

    def _short_of_share(self, plan: RedisPlan, tokens: int, now_us: int) -> Refused | None:
        link = self.link
        return mirror.short_of_share(
            plan,
            tokens,
            now_us,
            processes=link.processes,
            outage=link.outage,
            is_first_minute=link.is_first_minute(),
            degraded=self._degraded,
        )

    def _now_us(self) -> int:
        now_us = self._clock.now_us()
        if not self._is_time_given:
            now_us = self.link.now_us() or now_us
        return max(now_us, self._newest_us)

    # --- The end of a hold ------------------------------------------------------------------------

    def settle(self, hold: Hold, tokens: int) -> None:
        assert isinstance(hold, RedisHold)
        plan = hold.plan
        if plan is None:
            return
        hold.plan = None
        self._open_holds -= 1
        admitted_at_us = hold.admitted_at_us
        held = hold.tokens
        for window in plan.windows:
            if admitted_at_us >= window.begins_us:
                window.tokens += tokens - held
                window.held -= held
                window.open -= 1
            else:
                window.settle_closed(admitted_at_us, held, tokens)
        is_alone = hold.outage and hold.outage == self.link.outage
        if is_alone:
            for window in plan.windows:
                if window.alone is not None:
                    window.alone.settle(admitted_at_us, held, tokens)
        connection = self.link.connection
        if connection is not None:
            connection.ask(self._settle_command(plan, admitted_at_us, held, tokens), None)
        elif not is_alone:
            self._unsent.append((plan, admitted_at_us, held, tokens))

    def cancel(self, hold: Hold) -> None:
        self.settle(hold, 0)

    def _settle_command(self, plan: RedisPlan, admitted_at_us: int, held: int, used: int) -> bytes:
        command = b"%b%b$24\r\n%b\r\n" % (
            plan.settle,
            self.link.memory_argument,
            _SETTLED.pack(admitted_at_us, held, used),
        )
        if plan.leases:
            open_ = [window.open_holds() + window.asking for _, window in plan.leases]
            command += resp.arguments(self._name, self._now_us() + LEASE_US, *open_)
        return command

    async def levels(self, windows: Sequence[WindowLimits]) -> list[Level]:
        return await levels.read(self.link, self._table.windows, windows, self._now_us())

    # --- What Redis does not know -----------------------------------------------------------------

    def rebuild(self, past: Iterable[Past]) -> None:
        """What the ledger knows of the last minute is told to a Redis that knows nothing (R6)."""
        self._past = sorted(past, key=attrgetter("admitted_at_us"))
        if self._past:
            newest_us = self._past[-1].admitted_at_us
            self._clock.not_before(newest_us)
            self._newest_us = max(self._newest_us, newest_us)

    async def _push(self, is_new_memory: bool, tells_ledger: bool) -> None:
        """Tell Redis: everything of the last minute if it has forgotten, else what was admitted
        without it, by us or by those we answer for. What living processes tell themselves is in
        the ledger too, and then counts twice for a minute. Raises Away."""
        # What Redis knew of our predecessors it has forgotten with the rest.
        tells_ledger |= is_new_memory and self.link.has_joined
        since_us = 0 if tells_ledger else self._untold_since_us
        if tells_ledger or since_us:
            self._past = telling.recall(self._table, self._past, since_us)
        if is_new_memory:
            self._unsent.clear()  # What they replace is pushed settled.
        connection = self.link.connection
        assert connection is not None
        commands = telling.untold(self._plans, self.link.epoch, is_new_memory=is_new_memory)
        while self._unsent:
            connection.ask(self._settle_command(*self._unsent.popleft()), None)
        for start in range(0, len(commands), PUSHED_TOGETHER):
            some = commands[start : start + PUSHED_TOGETHER]
            for _, command in some[:-1]:
                connection.ask(command, None)
            await connection.call(some[-1][1])
            for window, _ in some:
                window.alone = None
        self._untold_since_us = 0
        self._told = True
        self._heritage.note(0)
        self._renew_leases()

    def _alone(self) -> None:
        """From here on something may be admitted that Redis never hears of, should we be killed."""
        if self._told:
            self._told = False
            self._heritage.note(max(1, self._now_us() - NOTE_MARGIN_US))

    def _beaten(self, redis_us: int) -> None:
        if not self._is_time_given:
            self._clock.not_before(redis_us)  # So that no answer ends before it was admitted.
        if self._past and self._past[-1].admitted_at_us + WINDOW_US < self._now_us():
            self._past = []
        if monotonic() >= self._renewed_at + RENEW_SECONDS:
            self._renew_leases()

    def _renew_leases(self) -> None:
        """Of requests that are open for long, one lease per window and process."""
        connection = self.link.connection
        if connection is None:
            return
        self._renewed_at = monotonic()
        until_us = self._now_us() + LEASE_US
        for command in levels.leases(self._table.by_id.values(), self._name, until_us):
            connection.ask(command, None)

    # --- Around it --------------------------------------------------------------------------------

    def degraded(self) -> str | None:
        mode, reason = self.link.mode, self.link.reason
        return None if mode == "shared" else f"Redis is {mode}: {reason}"

    def open_holds(self) -> int:
        return self._open_holds

    def close(self) -> None:
        """Nothing is waited for. Others need not wait for this one any more, if it has told all."""
        connection = self.link.stop()
        if connection is not None:
            has_told = self._told and self.link.has_joined
            connection.close(resp.encode("HDEL", KEYS[1], self._name) if has_told else b"")

    async def start(self) -> None:
        """Connect, and return once it is known whether Redis is there."""
        await self.link.first_decided()
        if self.link.is_unfit:
            raise CountersUnfit(f"{self.link.reason}.")
