"""Answers that a person looks at before their caller has them.

The engine is asked for all of it at once, and what it says goes to a stand-in for the caller's
exchange. When the answer is settled, and only then, the stand-in either passes it on or puts it
into the queue: the caller gets 202 and the place where it will be, or waits for it, as long as they
said. Tokens are settled as they are produced, whatever becomes of the answer.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import structs

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.flows.content import conversation
from keyhall.flows.content.copying import Copy
from keyhall.flows.review import fetching
from keyhall.flows.review.apart import apart
from keyhall.flows.review.desk import Desk
from keyhall.flows.review.enter import SECOND_US, enter, item_of
from keyhall.flows.review.texts import FETCH_US, Answer
from keyhall.policy.content.retention import DAY_US
from keyhall.policy.review.rules import Reason, is_sampled
from keyhall.ports.exchange import Exchange, Stopped
from keyhall.ports.review import Answered, Item
from keyhall.stores.review import items
from keyhall.wire.chat import ChatRequest
from keyhall.wire.moderation.within import ModeratedCompletion

if TYPE_CHECKING:
    from keyhall.flows.callers import Caller
    from keyhall.flows.filters.moderated import Moderated
    from keyhall.flows.filters.screen import Screen
    from keyhall.flows.hall import Hall
    from keyhall.flows.tab import Tab


FLAGS_MAX = 20  # that an item names
NOT_HELD = "The answer was to wait for a person, and cannot be kept for them"


class StandIn:
    """Takes an answer in its caller's place (ports/exchange.py, as far as an answer needs it)."""

    is_write_paused = False
    has_started = False

    def __init__(self, exchange: Exchange) -> None:
        self.request_id = exchange.request_id
        self.started_us = exchange.started_us
        self.headers = b""
        self.body = b""

    def reply(self, status: int, headers: bytes, body: bytes) -> None:
        self.headers, self.body = headers, body

    def reply_in_pieces(self, headers: bytes, pieces: Sequence[bytes]) -> None:
        self.reply(200, headers, b"".join(pieces))


class Watch:
    """One request of a project with rules. `exchange` and `request` are what the rest of the flow
    works with: the caller's own, or a stand-in and the request for the whole answer."""

    def __init__(
        self, exchange: Exchange, caller: "Caller", request: ChatRequest, hall: "Hall"
    ) -> None:
        rules = caller.grant.review
        self.exchange: Any = exchange
        self.request = request
        self.flags: tuple[str, ...] = ()  # what the filter found, as it is shown to reviewers
        self._client = exchange
        self._caller = caller
        self._rules = rules
        self._asked = request
        self._hall = hall
        self._is_sampled = is_sampled(exchange.request_id, rules.sample)
        self._wait_s = fetching.wait_of(exchange)
        if rules.hold != "never":
            self.exchange = StandIn(exchange)
            self.request = structs.replace(request, stream=None, stream_options=None)

    @property
    def _desk(self) -> Desk:
        desk = self._hall.reviews
        if desk is None:
            raise ApiError(errors.STORE_AWAY, headers=((b"retry-after", b"1"),))
        return desk

    def begin(self, tab: "Tab") -> tuple[Exchange, ChatRequest]:
        """The hold is taken. What may be looked at after it was sent is copied, also where nothing
        else is kept; a client that streams and waits is kept alive from here on."""
        if self._is_sampled or self._rules.flagged:
            if tab.copy is None:
                tab.copy = Copy(tab.fit.choices)
            if self._is_sampled:
                tab.copy.held_until_us = self._needed_until_us()
        if self._stands_in and self._asked.stream and self._wait_s:
            self._client.begin_stream(tab.headers())
        return self.exchange, self.request

    def answered(self, tab: "Tab", screen: "Screen | Moderated | None") -> None:
        """All of it is there, with what the filter found; before it is settled. Of an answer that
        is held back no copy is kept where its caller could read it."""
        if screen is not None:
            if self.request.stream and self._rules.flagged and tab.copy is not None:
                screen.look_back(tab.copy.answers() or ())
            found = screen.flags[:FLAGS_MAX]
            self.flags = tuple(f"{flag.way}: {flag.told}" for flag in found)
        if self._is_held:
            tab.copy = None
        elif self.flags and self._rules.flagged and tab.copy is not None:
            tab.copy.held_until_us = self._needed_until_us()

    @property
    def _stands_in(self) -> bool:
        return self.exchange is not self._client

    @property
    def _is_held(self) -> bool:
        hold = self._rules.hold
        return hold == "always" or (hold == "flagged" and bool(self.flags))

    def _needed_until_us(self) -> int:
        return self._hall.clock.now_us() + self._rules.deadline_s * SECOND_US + FETCH_US

    @property
    def _reasons(self) -> tuple[Reason, ...]:
        rules = self._rules
        found: list[Reason] = []
        if rules.hold == "always":
            found.append("required")
        if self.flags and (rules.flagged or rules.hold == "flagged"):
            found.append("flagged")
        if self._is_sampled:
            found.append("sampled")
        return tuple(found)

    async def end(self, tab: "Tab") -> None:
        """The answer is settled: it goes out, or into the queue, or both."""
        try:
            await self._end(tab)
        except Stopped:
            retry = ((b"retry-after", b"1"),)
            raise ApiError(errors.SHUTTING_DOWN, headers=retry) from None

    async def _end(self, tab: "Tab") -> None:
        if self._is_held:
            await self._hold(tab)
            return
        if self._stands_in:
            self._pass_on()
        for reason in self._reasons:
            await apart(enter(self._desk, self._facts(tab), self._rules, reason, self.flags))

    def _pass_on(self) -> None:
        """Nothing was flagged: it goes out as it is, in the form that was asked for."""
        taken = self.exchange
        if not self._asked.stream:
            self._client.reply(200, taken.headers, taken.body)
            return
        if not self._wait_s:
            self._client.begin_stream(taken.headers)
        completion = msgspec.json.decode(taken.body, type=ModeratedCompletion)
        fetching.write_stream(self._client, completion, self._asked)

    def _facts(self, tab: "Tab") -> Answered:
        grant = tab.grant
        return Answered(
            tab.id,
            grant.organization_id,
            grant.project_id,
            grant.key_id,
            grant.account_id,
            tab.version.name,
            tab.admitted_at_us,
            bool(self._asked.stream),
        )

    async def _hold(self, tab: "Tab") -> None:
        desk, taken, grant = self._desk, self.exchange, tab.grant
        completion = msgspec.json.decode(taken.body, type=ModeratedCompletion)
        item = item_of(
            self._facts(tab), self._rules, self._reasons, desk.clock.now_us(),
            is_held=True, flags=self.flags,
        )  # fmt: skip
        days = min(grant.retention_days, desk.content.days_max)
        if self._asked.store is False:
            days = 0
        answer = Answer(completion, tab.admitted_at_us + days * DAY_US if days else 0)
        said = conversation.encode(self.request, completion.choices)
        await apart(_kept(desk, item, answer, said), NOT_HELD)
        await fetching.deliver(
            self._client,
            self._hall,
            self._caller,
            desk,
            item,
            seconds=self._wait_s,
            headers=taken.headers,
            asked=self._asked,
        )


async def _kept(desk: Desk, item: Item, answer: Answer, said: bytes) -> None:
    """Durable before anybody is told where it will be: first its words, then its place."""
    await desk.texts.write_held(item, answer, said)
    async with desk.store.writing() as connection:
        await items.add(connection, item)
