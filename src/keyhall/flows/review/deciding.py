"""What reviewers do with an item: claim it, say what they think, give it back, take it back.

Each step is one transaction that names the state it found; who comes second is told so. A decision
leaves an audit row, is told to who waits for it, and to the project's webhook once it cannot be
taken back any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.manage.checks import Invalid, NotFound
from keyhall.flows.review import passing, telling
from keyhall.flows.review.desk import Desk
from keyhall.flows.review.texts import EXPORT_US, FETCH_US, Written, text_of
from keyhall.policy.review import judging, states
from keyhall.policy.review.judging import OUTCOME, SCORE_MAX, SCORE_MIN, Bar, Decision, Outcome
from keyhall.policy.review.rules import CLAIM_US, UNDO_US
from keyhall.policy.review.states import Move, State, undo_of
from keyhall.ports.content import Unreadable
from keyhall.ports.records import Actor
from keyhall.ports.review import Item, Made
from keyhall.stores import notes, organizations
from keyhall.stores.review import calls
from keyhall.stores.review import items as rows

TEXT_CHARACTERS_MAX = 65_536  # 4,096 tokens, and room to say it at greater length
NOTE_CHARACTERS_MAX = 2_000
GONE_US = 60_000_000  # What nobody needs any more goes as soon as an undo is over for certain.

SAYS: dict[Bar, str] = {
    "over": "It was decided in the meantime.",
    "own": "It is an answer to a key of your own: somebody else has to review it.",
    "taken": "Somebody else has claimed it.",
    "again": "You were the first to review it: the second has to be somebody else.",
    "unclaimed": "You have not claimed it, or the claim's time is over. Claim it again.",
}
MOVED = "Somebody else was faster. Look at it again."


@dataclass(frozen=True, slots=True)
class Opinion:
    """What somebody thinks of an item. `text` is the corrected answer, where they edit it."""

    decision: Decision
    score: int
    text: str | None = None
    note: str = ""


async def find(connection: AsyncConnection, organization_id: str | None, wanted: str) -> Item:
    """By its id; None as the organization is the operator's sight. Raises NotFound."""
    item = await rows.find(connection, wanted.removeprefix("rev_"))
    if item is None or organization_id not in (None, item.organization_id):
        raise NotFound("There is no such review item.")
    return item


def _at(item: Item, now_us: int) -> Item:
    """Without a claim whose time is over."""
    claim = item.claim.at(now_us)
    return replace(item, state=claim.state, claimed_by=claim.by)


async def _moved(connection: AsyncConnection, before: Item, after: Item) -> Item:
    if not await rows.move(connection, before, after):
        raise Invalid(MOVED)
    return after


def _next(state: State, move: Move) -> State:
    """Of moves that have been checked."""
    return states.NEXT[state, move]


async def claim(
    desk: Desk, organization_id: str | None, wanted: str, *, actor: Actor, now_us: int
) -> Item:
    """For a quarter of an hour; who has it already has it anew. Raises NotFound, Invalid."""
    async with desk.store.writing() as connection:
        item = await find(connection, organization_id, wanted)
        reviews = [each.review for each in await rows.of_item(connection, item.request_id)]
        bar = judging.bars_claim(item.claim, reviews, actor.who, now_us)
        if bar is not None:
            raise Invalid(SAYS[bar])
        state = _at(item, now_us).state
        if state in states.FREE:
            state = _next(state, "claim")
        return await _moved(
            connection,
            item,
            replace(item, state=state, claimed_by=actor.who, claimed_until_us=now_us + CLAIM_US),
        )


async def _claimed(connection: AsyncConnection, item: Item, actor: Actor, now_us: int) -> None:
    bar = judging.bars_review(item.claim, actor.who, now_us)
    if bar is not None:
        raise Invalid(SAYS[bar])


async def skip(
    desk: Desk, organization_id: str | None, wanted: str, *, actor: Actor, now_us: int
) -> Item:
    """Give a claim back."""
    async with desk.store.writing() as connection:
        item = await find(connection, organization_id, wanted)
        await _claimed(connection, item, actor, now_us)
        state = _next(item.state, "skip")
        return await _moved(
            connection, item, replace(item, state=state, claimed_by=None, claimed_until_us=0)
        )


def checked(opinion: Opinion, item: Item) -> Opinion:
    """Raises Invalid."""
    if not SCORE_MIN <= opinion.score <= SCORE_MAX:
        raise Invalid(f"A score is a whole number from {SCORE_MIN} to {SCORE_MAX}.")
    if len(opinion.note) > NOTE_CHARACTERS_MAX:
        raise Invalid(
            f"The note has {len(opinion.note):,} characters; {NOTE_CHARACTERS_MAX:,} fit."
        )
    if opinion.decision != "edit":
        return replace(opinion, text=None, note=opinion.note.strip())
    text = (opinion.text or "").replace("\r\n", "\n")
    if not text.strip():
        raise Invalid("Write the corrected answer, or refuse this one.")
    if len(text) > TEXT_CHARACTERS_MAX:
        raise Invalid(f"The answer has {len(text):,} characters; {TEXT_CHARACTERS_MAX:,} fit.")
    return replace(opinion, text=text, note=opinion.note.strip())


async def review(
    desk: Desk,
    organization_id: str | None,
    wanted: str,
    opinion: Opinion,
    *,
    actor: Actor,
    now_us: int,
) -> Item:
    """Say what one thinks. It decides the item if enough people stand for the same; else it goes
    on to the next. Raises NotFound, Invalid."""
    async with desk.store.reading() as connection:
        item = await find(connection, organization_id, wanted)
        await _claimed(connection, item, actor, now_us)
    opinion = checked(opinion, item)
    try:
        await _write(desk, item, opinion, actor, now_us)
    except Unreadable as error:
        raise Invalid(str(error)) from None
    async with desk.store.writing() as connection:
        item = await find(connection, organization_id, wanted)
        await _claimed(connection, item, actor, now_us)
        made = Made(
            number=0,
            request_id=item.request_id,
            who=actor.who,
            made_in=item.state,
            decision=opinion.decision,
            score=opinion.score,
            text_digest=desk.digest_of(opinion.text),
            has_note=bool(opinion.note),
            claimed_at_us=item.claimed_until_us - CLAIM_US,
            at_us=now_us,
        )
        await rows.add_review(connection, made)
        reviews = [each.review for each in await rows.of_item(connection, item.request_id)]
        found = judging.agreed(reviews, item.people)
        if found is None:
            state = _next(item.state, "pass-on")
            return await _moved(
                connection, item, replace(item, state=state, claimed_by=None, claimed_until_us=0)
            )
        state = _next(item.state, "decide")
        after = await _end(connection, item, state, OUTCOME[found.decision], actor, now_us)
    await _over(desk, after)
    return after


async def _write(desk: Desk, item: Item, opinion: Opinion, actor: Actor, now_us: int) -> None:
    """The words of a review, first: who sends it again after a failure finds nothing half done.
    Raises Invalid, Unreadable."""
    if opinion.text is not None and item.is_held:
        await passing.check(desk, item, opinion.text)
    if opinion.text is not None or opinion.note:
        written = Written(actor.who, now_us, opinion.text, opinion.note)
        await desk.texts.write_review(item, written)


async def _end(
    connection: AsyncConnection,
    item: Item,
    state: State,
    outcome: Outcome,
    actor: Actor,
    now_us: int,
) -> Item:
    after = await _moved(
        connection,
        item,
        replace(
            item,
            state=state,
            outcome=outcome,
            decided_at_us=now_us,
            claimed_by=None,
            claimed_until_us=0,
        ),
    )
    await notes.record(
        connection,
        actor,
        now_us,
        action="review.expire" if state == "expired" else "review.decide",
        target=item.id,
        before=item,
        after=after,
        changed="review",
    )
    project = (await organizations.find_project(connection, item.project_id))[0]
    if project.review.webhook:
        reviews = await rows.of_item(connection, item.request_id)
        body = telling.body_of(after, reviews)
        await calls.add(connection, item.project_id, item.request_id, body, now_us + UNDO_US)
    return after


async def _over(desk: Desk, item: Item) -> None:
    """Content is kept no longer than somebody needs it."""
    desk.count(item)
    desk.changed(item.request_id)
    at_us = item.decided_at_us or 0
    until_us = at_us + UNDO_US + GONE_US
    if item.is_held:
        until_us = max(until_us, at_us + FETCH_US)
    async with desk.store.reading() as connection:
        project = (await organizations.find_project(connection, item.project_id))[0]
    if project.review.export and item.outcome != "refused" and item.state == "decided":
        until_us = at_us + EXPORT_US
    await desk.content.hold(item.request_id, item.organization_id, until_us)


async def undo(
    desk: Desk, organization_id: str | None, *, actor: Actor, now_us: int, wanted: str = ""
) -> Item:
    """Take back one's last review, for ten seconds and as long as nobody has acted on it: the item
    is claimed again. Raises Invalid."""
    async with desk.store.writing() as connection:
        made = await rows.latest_of(connection, actor.who, now_us - UNDO_US)
        if made is None or wanted.removeprefix("rev_") not in ("", made.request_id):
            raise Invalid("You decided nothing in the last 10 seconds.")
        item = await find(connection, organization_id, made.request_id)
        state = states.after(item.state, undo_of(made.made_in))
        if state is None:
            raise Invalid("Somebody else has gone on from there.")
        if item.delivered_at_us is not None:
            raise Invalid("Its caller has the answer already.")
        await rows.take_back(connection, made.number, now_us)
        await calls.withdraw(connection, item.request_id)
        after = await _moved(
            connection,
            item,
            replace(
                item,
                state=state,
                outcome=None,
                decided_at_us=None,
                claimed_by=actor.who,
                claimed_until_us=now_us + CLAIM_US,
            ),
        )
        if item.outcome is not None:
            await notes.record(
                connection, actor, now_us, action="review.undo", target=item.id,
                before=item, after=after, changed="review",
            )  # fmt: skip
    until_us = max(after.deadline_us, now_us + CLAIM_US) + FETCH_US
    await desk.content.hold(after.request_id, after.organization_id, until_us)
    return after


async def expire(desk: Desk, item: Item, *, actor: Actor, now_us: int) -> Item | None:
    """Nobody has decided in time: the rules do that it entered under. None: somebody just has."""
    async with desk.store.writing() as connection:
        found = await rows.find(connection, item.request_id)
        if found is None or found.state not in states.OPEN or found.deadline_us > now_us:
            return None
        outcome: Outcome = "released" if found.at_deadline == "release" else "refused"
        after = await _end(connection, found, "expired", outcome, actor, now_us)
    await _over(desk, after)
    return after


async def released_text(desk: Desk, item: Item, reviews: Sequence[Made]) -> str | None:
    """The corrected text that was decided for; None where there was no correction."""
    if item.outcome != "edited":
        return None
    found = judging.agreed([each.review for each in reviews], item.people)
    made = next(each for each in reversed(reviews) if each.review == found)
    written = text_of(await desk.texts.reviews(item), made)
    return None if written is None else written.text
