"""The queue: what is open in the order in which it is to be looked at, what is mine, what is
closed. Nobody's words stand here: they are on the item's page, for who has claimed it."""

from starlette.responses import Response

from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.flows.manage.checks import Invalid
from keyhall.flows.review import deciding
from keyhall.flows.review.desk import Desk
from keyhall.policy.review.rules import UNDO_US
from keyhall.ports.review import Item
from keyhall.stores import organizations
from keyhall.stores.operate import acts
from keyhall.stores.review import items
from keyhall.stores.review.items import Which

LISTED = 200
WHICH: dict[str, Which] = {"open": "open", "mine": "mine", "closed": "closed"}
REASONS = {
    "required": "every answer of the project",
    "flagged": "flagged by the filter",
    "feedback": "thumb down",
    "sampled": "sample",
}
STATES = {
    "waiting": "waits for a review",
    "claimed": "claimed",
    "second": "waits for a second review",
    "second-claimed": "claimed, second review",
    "disputed": "disputed",
    "disputed-claimed": "claimed, disputed",
    "decided": "decided",
    "expired": "nobody decided in time",
}


def desk_of(ask: Ask) -> Desk:
    desk = ask.console.hall.reviews
    if desk is None:
        raise Invalid("Nothing is reviewed on this server.")
    return desk


def who_of(ask: Ask) -> str:
    """As in the audit."""
    return ask.by["actor"].who


async def show(ask: Ask) -> Response:
    which = WHICH.get(ask.query("which"), "open")
    organization_id, who = ask.person.organization_id, who_of(ask)
    async with ask.store.reading() as connection:
        projects = await organizations.list_projects(
            connection, organization_id=organization_id, limit=LISTED
        )
        project = next((each for each in projects if each.id == ask.query("project")), None)
        found = await items.queue(
            connection,
            organization_id,
            which=which,
            who=who,
            limit=LISTED,
            project_id=project.id if project else None,
        )
        ids = {each.key_id for each in found}
        ids |= {(each.claimed_by or "").removeprefix("account:") for each in found}
        names = await acts.names(connection, [each for each in ids if each])
        next_item = await items.next_for(connection, organization_id, who, ask.now_us)
        last = await items.latest_of(connection, who, ask.now_us - UNDO_US)
    return ask.page(
        "review/queue.html",
        found=[(each, _standing(each, ask)) for each in found],
        projects={each.id: each.name for each in projects},
        rules=[each for each in projects if each.review.is_used],
        project=project,
        names=names,
        which=which,
        next_item=next_item,
        last=last,
        reasons=REASONS,
        who_id=who,
    )


def _standing(item: Item, ask: Ask) -> str:
    """Without a claim whose time is over."""
    return STATES[item.claim.at(ask.now_us).state]


async def claim_next(ask: Ask) -> Response:
    """The first that this person may review, claimed."""
    who = who_of(ask)
    async with ask.store.reading() as connection:
        found = await items.next_for(
            connection, ask.person.organization_id, who, ask.now_us, skipped=ask.text("skipped")
        )
    if found is None:
        return ask.go("/reviews", "Nothing waits for you.")
    await deciding.claim(desk_of(ask), ask.person.organization_id, found.id, **ask.by)
    return ask.go(f"/reviews/{found.id}")


async def undo(ask: Ask) -> Response:
    item = await deciding.undo(desk_of(ask), ask.person.organization_id, **ask.by)
    return ask.go(f"/reviews/{item.id}", "Taken back: it is yours again.")


ROUTES = (
    Page("GET", "/reviews", show, "review"),
    Page("POST", "/reviews/next", claim_next, "review"),
    Page("POST", "/reviews/undo", undo, "review"),
)
