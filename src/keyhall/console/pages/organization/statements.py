"""Monthly statements, as a page and for machines."""

from datetime import UTC, datetime

import msgspec
from starlette.responses import Response

from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.console.pages.organization.place import organization
from keyhall.flows.manage.statement_text import csv_of, json_of, owner_of
from keyhall.flows.manage.statements import Statement, statement
from keyhall.stores.spending import quotas

MONTHS_SHOWN = 24


async def _made(ask: Ask) -> tuple[Statement, dict[str, str]]:
    async with ask.store.reading() as connection:
        place = await organization(connection, ask)
    made = await statement(ask.store, place.id, ask.query("month") or None, ask.now_us)
    async with ask.store.reading() as connection:
        names = await quotas.owner_names(connection, [each.scope_id for each in made.overage])
    return made, names


async def show(ask: Ask) -> Response:
    made, names = await _made(ask)
    return ask.page(
        "organization/statement.html",
        made=made,
        overage=[(owner_of(line, names), line) for line in made.overage],
        months=_months(made, ask.now_us),
    )


def _months(made: Statement, now_us: int) -> list[str]:
    """Those since the organization began, newest first."""
    zone = made.zone
    now = datetime.fromtimestamp(now_us / 1_000_000, tz=UTC).astimezone(zone)
    began_us = made.organization.created_at_us
    began = datetime.fromtimestamp(began_us / 1_000_000, tz=UTC).astimezone(zone)
    first, last = began.year * 12 + began.month - 1, now.year * 12 + now.month - 1
    newest = range(last, max(first, last - MONTHS_SHOWN + 1) - 1, -1)
    months = [f"{month // 12:04}-{month % 12 + 1:02}" for month in newest]
    return months if made.month in months else [made.month, *months]


def file(body: str | bytes, kind: str, name: str) -> Response:
    """Something to save."""
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(body, media_type=kind, headers=headers)


async def as_csv(ask: Ask) -> Response:
    made, names = await _made(ask)
    name = f"statement-{made.organization.id}-{made.month}.csv"
    return file(csv_of(made, names), "text/csv; charset=utf-8", name)


async def as_json(ask: Ask) -> Response:
    made, names = await _made(ask)
    body = msgspec.json.format(msgspec.json.encode(json_of(made, names)), indent=2)
    return file(body, "application/json", f"statement-{made.organization.id}-{made.month}.json")


ROUTES = (
    Page("GET", "/spending/statements", show, "spending.read"),
    Page("GET", "/spending/statements.csv", as_csv, "spending.read"),
    Page("GET", "/spending/statements.json", as_json, "spending.read"),
)
