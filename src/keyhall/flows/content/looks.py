"""Who has looked at what was said in a request, and why: for everybody who may see the request, not
only for those who may read the whole audit."""

from dataclasses import dataclass

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.stores.operate import acts
from keyhall.stores.operate.acts import Wanted

LISTED = 50


@dataclass(frozen=True, slots=True)
class Look:
    at_us: int
    who: str  # a name, or as the audit has it
    why: str


async def at(connection: AsyncConnection, id: str, organization_id: str) -> list[Look]:
    """Newest first."""
    wanted = Wanted(action="content.view", target=f"req_{id}")
    found = await acts.page(connection, organization_id, wanted, LISTED)
    names = await acts.names(connection, [row.who.removeprefix("account:") for row in found])
    return [
        Look(
            row.at_us,
            names.get(row.who.removeprefix("account:"), row.who),
            str(msgspec.json.decode(row.after or "{}").get("why", "")),
        )
        for row in found
    ]
