"""A reviewer looks at an item: what was said, why it is here, and what others think, if they may
see that yet. A look at anybody's words leaves an audit row that its owner can read."""

from dataclasses import dataclass

from keyhall.flows.content.conversation import Conversation
from keyhall.flows.content.view import Looked, view_content
from keyhall.flows.review.desk import Desk
from keyhall.flows.review.texts import Said, Written, text_of
from keyhall.policy.review import judging, states
from keyhall.ports.content import ContentKind
from keyhall.ports.people import Sight
from keyhall.ports.records import Actor
from keyhall.ports.review import Feedback, Item, Made
from keyhall.stores import notes
from keyhall.stores.content.sealing import Vault
from keyhall.stores.review import feedback, items

WHY = "review"


@dataclass(frozen=True, slots=True)
class View:
    """`conversation` is None where nothing is kept of it. `reviews` are those that this person may
    see; `hidden` is how many there are besides."""

    item: Item
    conversation: Conversation | None
    told: Feedback | None
    said: Said
    reviews: tuple[tuple[Made, Written | None], ...]
    hidden: int
    released: str | None  # the corrected text, once it is decided for


def may_read(item: Item, who: str, now_us: int) -> bool:
    """Whoever has claimed it, and everybody who reviews once it is over."""
    return item.state not in states.OPEN or judging.bars_review(item.claim, who, now_us) is None


def kind_of(item: Item) -> ContentKind:
    """Where what was said is kept: of an answer that was held back, apart."""
    return "held" if item.is_held else "conversation"


async def look(desk: Desk, vault: Vault, item: Item, *, actor: Actor, now_us: int) -> View:
    """All that this person may see now. Raises Unreadable."""
    async with desk.store.reading() as connection:
        told = await feedback.latest(connection, item.request_id)
        made = await items.of_item(connection, item.request_id)
    shown = judging.shows_reviews(item.state, [each.review for each in made], actor.who)
    seen = said = None
    written: list[Written] = []
    if may_read(item, actor.who, now_us):
        sight = Sight(item.organization_id)
        seen = await view_content(
            desk.store, vault, sight, item.request_id, WHY,
            actor=actor, now_us=now_us, kind=kind_of(item),
        )  # fmt: skip
        if told is not None and (told.has_comment or told.has_correction):
            said = await desk.texts.feedback(item.request_id, item.organization_id)
        if shown:
            written = await desk.texts.reviews(item)
        if seen is None and said not in (None, Said()):
            await _noted(desk, item, actor, now_us)
    visible = made if shown else [each for each in made if each.who == actor.who]
    stands = judging.agreed([each.review for each in made], item.people)
    released = None
    if item.outcome == "edited" and stands is not None:
        chosen = next(each for each in reversed(made) if each.review == stands)
        words = text_of(written, chosen)
        released = None if words is None else words.text
    return View(
        item=item,
        conversation=None if seen is None else seen.conversation,
        told=told,
        said=said or Said(),
        reviews=tuple((each, text_of(written, each)) for each in visible),
        hidden=len(made) - len(visible),
        released=released,
    )


async def _noted(desk: Desk, item: Item, actor: Actor, now_us: int) -> None:
    looked = Looked(item.organization_id, item.project_id, item.key_id, "note", WHY)
    async with desk.store.writing() as connection:
        await notes.record(
            connection,
            actor,
            now_us,
            action="content.view",
            target=f"req_{item.request_id}",
            before=None,
            after=looked,
        )
