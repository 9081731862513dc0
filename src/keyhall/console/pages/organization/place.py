"""The organization that is looked at, and when its month began."""

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.console.context import Ask
from keyhall.flows.manage.checks import NotFound
from keyhall.policy.quotas import span
from keyhall.ports.records import Organization
from keyhall.stores import organizations
from keyhall.stores.spending.take_in import zone_of


async def organization(connection: AsyncConnection, ask: Ask) -> Organization:
    wanted = ask.person.sight.organization_id
    found = await organizations.find_organization(connection, wanted) if wanted else []
    if not found:
        raise NotFound("You look at no organization. Choose one on the page Organizations.")
    return found[0]


def month_begins_us(place: Organization, now_us: int) -> int:
    return span("month", now_us, zone_of(place.time_zone)).begins_us
