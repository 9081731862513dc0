"""The list of keys: found, sorted, paged, taken away as CSV, and revoked by the dozen."""

from typing import TypeVar

from starlette.responses import Response

from keyhall.console import cells
from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.console.pages.keys.showing import mine_to_change
from keyhall.flows.holders import levels, visible
from keyhall.flows.manage import keys
from keyhall.flows.manage.checks import Invalid
from keyhall.policy import keys as key_form
from keyhall.policy.access import at
from keyhall.policy.holders import words
from keyhall.policy.holders.levels import RESOURCES
from keyhall.stores.holders import keys as rows
from keyhall.stores.holders import traffic
from keyhall.stores.holders.keys import SORTS, STATES, Filter
from keyhall.stores.leaks import notices

PAGE = 50
PAGES_MAX = 2_000
EXPORTED_MAX = 10_000
NOTICES_MAX = 10
SPARK_DAYS = 7
DAY_US = 86_400_000_000
_WIDTH, _HEIGHT = 70, 20  # of a spark line

T = TypeVar("T", bound=str)
_SORTED = {"created": "Newest first", "name": "Name", "used": "Last used", "expires": "Ends first"}


def _one_of(known: tuple[T, ...], wanted: str) -> T:
    return next((each for each in known if each == wanted), known[0])


def wanted_of(ask: Ask) -> Filter:
    """The filter that stands in the address."""
    return Filter(
        search=ask.query("q").strip()[:100],
        state=_one_of(STATES, ask.query("state")),
        project_id=ask.query("project")[:100],
        owner_id=ask.query("owner")[:100],
        sort=_one_of(SORTS, ask.query("sort")),
    )


def spark(values: list[int]) -> str:
    """The points of a line of so many days; flat at the bottom where nothing was."""
    most = max(values, default=0) or 1
    step = (_WIDTH - 2) / max(1, len(values) - 1)
    points = (
        f"{1 + index * step:.1f},{_HEIGHT - 2 - value * (_HEIGHT - 4) / most:.1f}"
        for index, value in enumerate(values)
    )
    return " ".join(points)


async def listing(ask: Ask) -> Response:
    pasted = key_form.parse(ask.query("q").strip())
    if pasted is not None:  # A key itself: out of the address with it.
        return ask.go(f"/keys?state=all&q={pasted.id}")
    wanted, sight, now_us = wanted_of(ask), ask.person.sight, ask.now_us
    page = _page_of(ask)
    async with ask.store.reading() as connection:
        total = await rows.count(connection, sight, wanted, now_us)
        found = await rows.listed(connection, sight, wanted, now_us, limit=PAGE, offset=page * PAGE)
        ids = [each.key.id for each in found]
        days = await traffic.by_day(connection, ids, now_us, SPARK_DAYS)
        fresh = await traffic.fresh_uses(connection, ids)
        told = await notices.open_in_sight(connection, sight, NOTICES_MAX)
        owners = [] if sight.account_id else await rows.owners(connection, sight, 200)
    held = await levels.held(ask.store, [each.key for each in found], ask.console.tiers(), now_us)
    return ask.page(
        "keys/list.html",
        found=found,
        last={
            each.key.id: max(each.key.last_used_at_us or 0, fresh.get(each.key.id, 0)) or None
            for each in found
        },
        told=told,
        total=total,
        page=page,
        pages=-(-total // PAGE),
        wanted=wanted,
        states=STATES,
        sorts=_SORTED,
        projects=await visible.projects(ask.store, sight),
        owners=owners,
        days={key_id: (spark(values), sum(values)) for key_id, values in days.items()},
        limits={each.key.id: _limits(each) for each in held},
        is_filtered=wanted != Filter(sort=wanted.sort),
        soon_us=now_us + 14 * DAY_US,
    )


def _limits(held: levels.Held) -> list[tuple[str, int | None, str]]:
    """Each limit that binds, and why it is what it is."""
    return [
        (resource, words.lowest(held.effective, resource), words.why(held.effective, resource))
        for resource in RESOURCES
        if resource != "in_flight" or words.lowest(held.effective, resource) is not None
    ]


def _page_of(ask: Ask) -> int:
    text = ask.query("page")
    return min(int(text), PAGES_MAX) if text.isascii() and text.isdigit() and len(text) < 6 else 0


# --- CSV ------------------------------------------------------------------------------------------

_COLUMNS = (
    "id", "name", "key", "mode", "state", "project", "owner", "tier", "created", "last_used",
    "expires",
)  # fmt: skip


async def export(ask: Ask) -> Response:
    now_us = ask.now_us
    async with ask.store.reading() as connection:
        found = await rows.listed(
            connection, ask.person.sight, wanted_of(ask), now_us, limit=EXPORTED_MAX
        )
    lines = []
    for each in found:
        key = each.key
        times = (key.created_at_us, key.last_used_at_us, key.expires_at_us)
        lines.append((
            key.id, key.name, key.masked, key.mode, key.state(now_us), key.project_name,
            each.owner, key.tier, *(None if time is None else at(time) for time in times),
        ))  # fmt: skip
    headers = {"content-disposition": 'attachment; filename="keys.csv"'}
    text = cells.table(_COLUMNS, lines)
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)


# --- By the dozen ---------------------------------------------------------------------------------


async def revoke_many(ask: Ask) -> Response:
    """Shows what would end, and does it once it is confirmed."""
    wanted = ask.texts("key")
    if not wanted:
        return ask.go("/keys", "No key was ticked, so nothing was done.", kind="error")
    if len(wanted) > PAGE:
        raise Invalid(f"At most {PAGE} keys at once.")
    found = await visible.visible_keys(ask.store, ask.person.sight, wanted)
    found = [key for key in found if key.revoked_at_us is None]
    for key in found:
        mine_to_change(ask, key)
    async with ask.store.reading() as connection:
        used = await traffic.since(connection, [key.id for key in found], ask.now_us - DAY_US)
    fault = ""
    if ask.text("confirmed"):
        if ask.text("number").strip() == str(len(found)):
            for key in found:
                await keys.revoke(ask.store, key.id, reason=ask.text("reason"), **ask.by)
            return ask.go("/keys", f"{len(found)} keys were revoked.")
        fault = f"Write {len(found)}, the number of keys, to revoke them."
    return ask.page(
        "keys/revoke_many.html", 400 if fault else 200, found=found, used=used, fault=fault
    )


ROUTES = (
    Page("GET", "/keys", listing, "keys.read"),
    Page("GET", "/keys/export.csv", export, "keys.read"),
    Page("POST", "/keys/revoke", revoke_many, "keys.write"),
)
