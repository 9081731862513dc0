"""A class list: upload or paste, look at it, and everybody has a key."""

import re
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from starlette.datastructures import UploadFile
from starlette.responses import Response

from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.console.pages.keys import form
from keyhall.flows.accounts import tokens
from keyhall.flows.manage.checks import Invalid, Refused
from keyhall.flows.people import class_ends, class_lists
from keyhall.flows.people.class_lists import NewClass, Seat
from keyhall.policy.people import class_list
from keyhall.policy.people.class_list import ClassList
from keyhall.stores import organizations
from keyhall.stores.accounts import belongings

CLASS_ID = re.compile(r"class_[0-9A-Za-z]{12}")
SHOWN = 200  # lines of the preview; faulty ones come first
PROJECTS_LISTED = 200
ENDINGS = (".csv", ".tsv", ".txt")


async def show(ask: Ask) -> Response:
    return await _page(ask, "")


async def _page(
    ask: Ask, text: str, found: ClassList | None = None, class_id: str = "", fault: str = ""
) -> Response:
    place = await form.organization_of(ask)
    async with ask.store.reading() as connection:
        projects = await organizations.list_projects(
            connection, organization_id=place.id, limit=PROJECTS_LISTED
        )
    lines = [] if found is None else sorted(found.lines, key=lambda each: not each.fault)
    names = {each.id: each.name for each in projects}
    return ask.page(
        "people/import.html",
        400 if fault or (found is not None and found.fault) else 200,
        text=text,
        found=found,
        lines=[(each, names.get(each.project, each.project)) for each in lines[:SHOWN]],
        hidden=max(0, len(lines) - SHOWN),
        class_id=class_id,
        projects=projects,
        tiers=form.tiers_for(ask, place),
        fault=fault,
        people_max=class_list.PEOPLE_MAX,
        given={name: ask.text(name) for name in ("name", "tier", "project", "last_day")},
    )


async def _text(ask: Ask) -> str:
    """The file that was chosen, else what was pasted. Raises Invalid."""
    file = ask.form.get("file")
    if not isinstance(file, UploadFile) or not file.filename:
        return ask.text("list")
    content = await file.read()
    if not file.filename.lower().endswith(ENDINGS) or b"\0" in content:
        raise Invalid("That is no CSV file. Save the list as CSV and choose it again.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:  # As spreadsheets on Windows save it.
        return content.decode("cp1252", errors="replace")


async def _read(ask: Ask, text: str) -> ClassList:
    async with ask.store.reading() as connection:
        organization_id = ask.person.sight.organization_id
        projects = await belongings.known_projects(connection, organization_id)
    return class_list.read(text, projects)


async def do_preview(ask: Ask) -> Response:
    try:
        text = await _text(ask)
    except Invalid as error:
        return await _page(ask, "", fault=str(error))
    return await _page(ask, text, await _read(ask, text), tokens.new_id("class"))


async def do_import(ask: Ask) -> Response:
    text, class_id = ask.text("list"), ask.text("class")
    found = await _read(ask, text)
    try:
        if CLASS_ID.fullmatch(class_id) is None:  # It names the file that comes back.
            raise Invalid("Look at the list first.")
        new = NewClass(
            id=class_id,
            name=ask.text("name"),
            tier=ask.text("tier"),
            project=ask.text("project"),
            expires_at_us=await _end_us(ask),
        )
        seats = await class_lists.open_class(
            ask.store,
            ask.person,
            new,
            found.good,
            tiers=form.tiers_for(ask, await form.organization_of(ask)),
            pepper=ask.console.peppers[0],
            url=ask.console.url,
            **ask.by,
        )
    except Refused as error:
        return await _page(ask, text, found, class_id, str(error))
    headers = {"content-disposition": f'attachment; filename="keys-{class_id}.csv"'}
    return Response(_written(seats), media_type="text/csv; charset=utf-8", headers=headers)


def _written(seats: list[Seat]) -> str:
    head = ("name", "e-mail", "invitation", "key")
    rows = (
        (each.name, each.email, "" if each.link is None else each.link.reveal(), each.key.reveal())
        for each in seats
    )
    return class_list.written(head, rows)


async def _end_us(ask: Ask) -> int | None:
    """The end of the last day, in the organization's time zone."""
    text = ask.text("last_day").strip()
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Invalid("The last day is a date such as 2027-02-28.") from None
    place = await form.organization_of(ask)
    try:
        zone = ZoneInfo(place.time_zone)
        ends = datetime.combine(day + timedelta(days=1), time(), zone)
    except OverflowError:
        raise Invalid("The last day is too far away.") from None
    return int(ends.timestamp()) * 1_000_000


# --- The end of term ------------------------------------------------------------------------------


async def do_pause(ask: Ask) -> Response:
    organization_id = ask.person.sight.organization_id
    count = await class_ends.pause(ask.store, organization_id, ask.path("id"), **ask.by)
    return ask.go("/people#classes", f"{count} keys are paused, and their people signed out.")


async def do_resume(ask: Ask) -> Response:
    organization_id = ask.person.sight.organization_id
    count = await class_ends.resume(ask.store, organization_id, ask.path("id"), **ask.by)
    return ask.go("/people#classes", f"{count} keys work again.")


async def do_end(ask: Ask) -> Response:
    organization_id = ask.person.sight.organization_id
    count = await class_ends.end(ask.store, organization_id, ask.path("id"), **ask.by)
    return ask.go("/people#classes", f"The class has ended: {count} keys were revoked.")


ROUTES = (
    Page("GET", "/people/import", show, "people.write"),
    Page("POST", "/people/import", do_preview, "people.write"),
    Page("POST", "/people/import/keys", do_import, "people.write"),
    Page("POST", "/people/classes/{id}/pause", do_pause, "people.write"),
    Page("POST", "/people/classes/{id}/resume", do_resume, "people.write"),
    Page("POST", "/people/classes/{id}/end", do_end, "people.write"),
)
