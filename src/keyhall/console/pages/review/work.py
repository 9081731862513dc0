"""Who reviews how much and how far they agree; what people say of each version."""

from starlette.responses import Response

from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.flows.review import learning
from keyhall.stores.operate import acts

DAYS = (7, 30, 90)
DAY_US = 86_400_000_000


def _days(ask: Ask) -> int:
    return next((each for each in DAYS if str(each) == ask.query("days")), 30)


async def show(ask: Ask) -> Response:
    days = _days(ask)
    found = await learning.work(
        ask.store, ask.person.organization_id, since_us=ask.now_us - days * DAY_US
    )
    async with ask.store.reading() as connection:
        ids = [each.who.removeprefix("account:") for each in found.loads]
        names = await acts.names(connection, ids)
    return ask.page("review/work.html", work=found, names=names, days=days, spans=DAYS)


async def versions(ask: Ask) -> Response:
    days = _days(ask)
    found = await learning.scorecards(
        ask.store,
        organization_id=ask.person.organization_id,
        since_us=ask.now_us - days * DAY_US,
    )
    return ask.page("review/versions.html", cards=found, days=days, spans=DAYS, mean=learning.mean)


ROUTES = (
    Page("GET", "/reviews/work", show, "review"),
    Page("GET", "/reviews/versions", versions, "review"),
)
