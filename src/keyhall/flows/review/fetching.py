"""How a caller gets an answer that a person looks at: at once if it is decided, else they wait as
long as they said, and then know where it will be. `GET /v1/keyhall/reviews/{id}`."""

import asyncio

from msgspec import structs

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.flows import admit
from keyhall.flows.authenticate import authenticate
from keyhall.flows.callers import Caller
from keyhall.flows.hall import Hall
from keyhall.flows.review.apart import apart
from keyhall.flows.review.deciding import released_text
from keyhall.flows.review.desk import WAITING_MAX, Desk
from keyhall.policy.review import states
from keyhall.ports.exchange import Exchange, KeyRevoked, Stopped
from keyhall.ports.review import Item
from keyhall.stores.review import items
from keyhall.wire.chat import ChatRequest, Completion
from keyhall.wire.review import released

PREFIX = b"/v1/keyhall/reviews/"
WAIT_SECONDS_MAX = 600  # OpenAI's clients give up after ten minutes.
AGAIN_SECONDS = 2  # what `retry-after` says to whoever polls
_ID_CHARACTERS_MAX = 64


def wait_of(exchange: Exchange) -> int:
    """How many seconds a caller waits for a person: what they say, within our bound; 0 without.
    Raises ApiError REVIEW_WAIT."""
    said = exchange.review_wait
    if said is None:
        return 0
    text = said.strip()
    if not text.isdigit() or len(text) > 9:
        shown = text[:20].decode("ascii", "replace")
        raise ApiError(errors.REVIEW_WAIT, got=shown, bound=WAIT_SECONDS_MAX)
    return min(int(text), WAIT_SECONDS_MAX)


async def show_review(exchange: Exchange, hall: Hall) -> None:
    caller = await authenticate(exchange, hall, "chat")
    seconds = wait_of(exchange)
    desk = hall.reviews
    wanted = exchange.path.removeprefix(PREFIX)[:_ID_CHARACTERS_MAX].decode("ascii", "replace")
    item = None
    if desk is not None and wanted.startswith("rev_"):
        item = await _found(desk, wanted.removeprefix("rev_"))
    if (
        desk is None
        or item is None
        or item.project_id != caller.grant.project_id
        or not item.is_held
    ):
        raise ApiError(errors.REVIEW_UNKNOWN, id=wanted)
    headers = caller.lines
    await deliver(exchange, hall, caller, desk, item, seconds=seconds, headers=headers)


async def _found(desk: Desk, request_id: str) -> Item | None:
    async def look() -> Item | None:
        async with desk.store.reading() as connection:
            return await items.find(connection, request_id)

    return await apart(look())


async def deliver(
    exchange: Exchange,
    hall: Hall,
    caller: Caller,
    desk: Desk,
    item: Item,
    *,
    seconds: int,
    headers: bytes,
    asked: ChatRequest | None = None,
) -> None:
    """The answer once it is decided, else 202; `asked` is a request that may want a stream."""
    if item.state in states.OPEN and seconds and desk.waiting < WAITING_MAX:
        item = await _waited(exchange, hall, caller, desk, item, seconds)
    if item.state in states.OPEN:
        _pending(exchange, hall, item, headers, is_stream=asked is not None and bool(asked.stream))
        return
    cannot = f"The answer {item.id} was decided and cannot be read at present"
    completion = await apart(_released(desk, item), cannot)
    if completion is None:
        raise ApiError(errors.REVIEW_GONE, id=item.id)
    lines = headers + b"x-keyhall-review: %b; id=%b\r\n" % (
        (item.outcome or "").encode(),
        item.id.encode(),
    )
    if asked is not None and asked.stream:
        if not exchange.has_started:
            exchange.begin_stream(lines)
        write_stream(exchange, completion, asked)
    else:
        exchange.reply(200, lines, released.encode(completion))


def write_stream(exchange: Exchange, completion: Completion, asked: ChatRequest) -> None:
    exchange.write_last(released.stream(completion, wants_usage=asked.wants_usage))


async def _waited(
    exchange: Exchange, hall: Hall, caller: Caller, desk: Desk, item: Item, seconds: int
) -> Item:
    """The item when it is decided, or when the time is over. A key that is revoked meanwhile gets
    nothing; one that waits while the server stops is told where the answer will be."""
    caller.opened(exchange)
    work = asyncio.get_running_loop().create_task(_decided(desk, item, seconds))
    try:
        return await asyncio.shield(work)
    except KeyRevoked:
        raise admit.revoked(caller, exchange, hall) from None
    except Stopped:
        return item
    finally:
        caller.closed(exchange)
        work.cancel()


async def _decided(desk: Desk, item: Item, seconds: int) -> Item:
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while item.state in states.OPEN and (left := until - loop.time()) > 0:
        moved = asyncio.ensure_future(desk.wait(item.request_id, left))
        await asyncio.sleep(0)  # It waits before the item is read: no move is missed in between.
        try:
            async with desk.store.reading() as connection:
                item = await items.find(connection, item.request_id) or item
            if item.state in states.OPEN:
                await moved
        finally:
            moved.cancel()
    return item


def _pending(
    exchange: Exchange, hall: Hall, item: Item, headers: bytes, *, is_stream: bool
) -> None:
    """A client that streams takes a 202 for a stream without events, and an error for one."""
    location = f"{hall.url.rstrip('/')}{PREFIX.decode()}{item.id}"
    if is_stream:
        where = ((b"location", location.encode()),)
        raise ApiError(errors.REVIEW_PENDING, headers=where, location=location)
    body = released.encode_pending(
        released.Pending(
            id=item.id,
            completion_id=f"chatcmpl-{item.request_id}",
            model=item.version,
            created=item.entered_at_us // 1_000_000,
            deadline=item.deadline_us // 1_000_000,
            location=location,
        )
    )
    lines = headers + b"location: %b\r\nretry-after: %d\r\n" % (location.encode(), AGAIN_SECONDS)
    exchange.reply(202, lines, body)


async def _released(desk: Desk, item: Item) -> Completion | None:
    """As it was decided. From when this is read the decision stands."""
    answer = await desk.texts.answer(item)
    if answer is None:
        return None
    now_us = desk.clock.now_us()
    if item.delivered_at_us is None:
        async with desk.store.writing() as connection:
            await items.delivered(connection, item.request_id, now_us)
    async with desk.store.reading() as connection:
        reviews = await items.of_item(connection, item.request_id)
    if item.outcome == "refused":
        why = released.EXPIRED if item.state == "expired" else released.REFUSED
        return released.refused(answer.completion, why)
    if item.outcome == "edited":
        text = await released_text(desk, item, reviews)
        if text is None:
            return None
        answer = structs.replace(answer, completion=released.edited(answer.completion, text))
    if item.delivered_at_us is None:
        await desk.texts.keep_released(item, answer, now_us)
    return answer.completion
