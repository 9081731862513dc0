"""POST /v1/keyhall/feedback: what a caller says of an answer, by its completion id.

A key speaks of its own project's answers and of no others: those of somebody else are as unknown as
those that nobody was given. The latest counts; the same again changes nothing.
"""

import asyncio

import msgspec

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.flows import admit
from keyhall.flows.authenticate import authenticate, authenticate_again
from keyhall.flows.hall import Hall
from keyhall.flows.review.apart import apart
from keyhall.flows.review.desk import Desk
from keyhall.flows.review.enter import enter_on
from keyhall.flows.review.texts import Said
from keyhall.policy.access import Grant
from keyhall.ports.exchange import Exchange
from keyhall.ports.ledger import Ledger
from keyhall.ports.review import Answered, Feedback
from keyhall.stores.review import feedback as rows
from keyhall.wire.review import feedback as wire
from keyhall.wire.review.feedback import Given, Taken

# An answer's usage is written down in batches: feedback on a fresh one may be there before it.
FRESH_US = 10_000_000
TRIES, TRY_SECONDS = 4, 0.25
LEAD_US = 2_000_000  # clocks of several servers may differ so much


async def give_feedback(exchange: Exchange, hall: Hall) -> None:
    caller = await authenticate(exchange, hall, "chat")
    admit.require_json(exchange)
    body = exchange.whole_body
    if body is None:
        body = await exchange.body()
        await authenticate_again(caller, exchange, hall, "chat", None)
    given = wire.read(body)
    desk, grant = hall.reviews, caller.grant
    if desk is None:
        raise ApiError(errors.STORE_AWAY, headers=((b"retry-after", b"1"),))
    desk.throttle.count(grant.key_id, grant.masked, exchange.started_us)
    taken = await apart(give(desk, hall.ledger, grant, given), "The words cannot be kept")
    exchange.reply(200, caller.lines, wire.encode(taken))


async def give(desk: Desk, ledger: Ledger, grant: Grant, given: Given) -> Taken:
    """Raises ApiError COMPLETION_UNKNOWN."""
    answered = await find(desk, ledger, given.request_id, grant.project_id)
    if answered is None:
        raise ApiError(errors.COMPLETION_UNKNOWN, id=given.completion_id)
    now_us = desk.clock.now_us()
    digest = desk.digest(msgspec.json.encode(given))
    async with desk.store.reading() as connection:
        before = await rows.latest(connection, given.request_id)
        count = await rows.count(connection, given.request_id)
    if before is not None and before.digest == digest:
        return _taken(before, count - 1)
    # Its words first: who sends it again after a failure in between finds nothing half done.
    said, is_kept = Said(given.correction, given.comment), False
    if said != Said() or (before is not None and (before.has_comment or before.has_correction)):
        is_kept = await desk.texts.write_feedback(answered, said, now_us)
    new = Feedback(
        0, given.request_id, answered.organization_id, answered.project_id, grant.key_id,
        answered.version, given.thumb, given.score, given.category,
        is_kept and given.correction is not None, is_kept and given.comment is not None,
        digest, now_us,
    )  # fmt: skip
    async with desk.store.writing() as connection:
        await rows.replace(connection, new)
        if grant.review.feedback and given.thumb == "down":
            await enter_on(connection, answered, grant.review, "feedback", now_us)
    return _taken(new, count)


async def find(desk: Desk, ledger: Ledger, request_id: str, project_id: str) -> Answered | None:
    """What the project was answered, also when that was a moment ago."""
    made_at_us = int.from_bytes(bytes.fromhex(request_id)[:7])  # A request's id begins with it.
    for attempt in range(TRIES):
        async with desk.store.reading() as connection:
            found = await rows.answered(connection, request_id, project_id)
        if found is not None:
            return found
        age_us = desk.clock.now_us() - made_at_us
        if not -LEAD_US <= age_us <= FRESH_US:
            return None
        if attempt == 0:
            await ledger.flush()
        else:  # Another process has it, or its answer has not come to its end.
            await asyncio.sleep(TRY_SECONDS)
    return None


def _taken(feedback: Feedback, replaces: int) -> Taken:
    return Taken(
        id=f"feedback-{feedback.request_id}",
        completion_id=f"chatcmpl-{feedback.request_id}",
        created=feedback.at_us // 1_000_000,
        model=feedback.version,
        thumb=feedback.thumb,
        score=feedback.score,
        category=feedback.category,
        has_correction=feedback.has_correction,
        has_comment=feedback.has_comment,
        replaces=replaces,
    )
