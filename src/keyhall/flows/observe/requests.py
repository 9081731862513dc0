"""Requests one by one, for whoever may see them: the list, what has come since, and one of them."""

from dataclasses import dataclass

from keyhall.flows.hall import Hall
from keyhall.flows.manage.checks import NotFound
from keyhall.policy.metering import Usage
from keyhall.ports.people import Sight
from keyhall.ports.requests import Kind, Mark, Page, Refusal
from keyhall.ports.usage import Filter
from keyhall.stores import usage as totals
from keyhall.stores.requests import listing, seen
from keyhall.stores.sql import SqlStore

NEWEST: Mark = (1 << 62, "")


@dataclass(frozen=True, slots=True)
class Wanted:
    only: Filter
    kind: Kind = "all"
    status: int | None = None
    since_us: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """A request: what it used if it was admitted, what it was told if that was an error."""

    usage: Usage | None
    refusal: Refusal | None
    key_name: str
    project_name: str
    price: tuple[int, int] | None = None  # of input and output, when it was admitted


async def page(
    store: SqlStore, sight: Sight, wanted: Wanted, mark: Mark = NEWEST
) -> tuple[Page, dict[str, str]]:
    """A page of the list, and the names of its keys."""
    async with store.reading() as connection:
        is_rolled_up = await totals.is_rolled_up(connection)
    if not is_rolled_up:
        await store.roll_up()
    async with store.reading() as connection:
        found = await listing.page(
            connection, sight, wanted.only, kind=wanted.kind, status=wanted.status,
            since_us=wanted.since_us, mark=mark,
        )  # fmt: skip
        ids = sorted({line.key_id for line in found.lines})
        return found, await seen.names(connection, "key", ids)


async def count_new(store: SqlStore, sight: Sight, wanted: Wanted, after: tuple[int, int]) -> int:
    async with store.reading() as connection:
        return await listing.count_new(
            connection, sight, wanted.only, kind=wanted.kind, status=wanted.status, after=after
        )


def in_flight(hall: Hall, sight: Sight, only: Filter) -> int:
    """Requests that are being answered now, by this process, of keys in sight."""
    count = 0
    for caller in hall.callers.known.values():
        if caller.open:
            grant = caller.grant
            if (
                grant.organization_id == sight.organization_id
                and sight.account_id in (None, grant.account_id)
                and only.key_id in (None, grant.key_id)
            ):
                count += len(caller.open)
    return count


async def find(store: SqlStore, sight: Sight, wanted: str) -> Found:
    """By its id, with `req_` or without. Raises NotFound, for other people's requests too."""
    request_id = wanted.removeprefix("req_").lower()
    async with store.reading() as connection:
        usage = await listing.find_usage(connection, sight, request_id)
        refusal = await listing.find_refusal(connection, sight, request_id)
        about = usage or refusal
        if about is None:
            raise NotFound(
                "There is no request of that id here. It may be open still, of another "
                "organization, or a refusal that is too old to be kept."
            )
        keys = await seen.names(connection, "key", [about.key_id])
        projects = await seen.names(connection, "project", [about.project_id])
        price = None
        if usage is not None and usage.cost_nano:
            price = await listing.price_at(connection, usage.version, usage.admitted_at_us)
    return Found(
        usage,
        refusal,
        keys.get(about.key_id, about.key_id),
        projects.get(about.project_id, about.project_id),
        price,
    )
