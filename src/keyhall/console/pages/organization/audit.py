"""The audit: who did what, from where, when, and what it changed. Filters stand in the address."""

import csv
import io
from dataclasses import replace
from typing import Any

import msgspec
from starlette.responses import Response

from keyhall.console import given
from keyhall.console.context import Ask
from keyhall.console.differences import Change, changes
from keyhall.console.gate import Page
from keyhall.console.pages.organization.statements import file
from keyhall.flows.manage.checks import Refused
from keyhall.flows.manage.statement_text import stamp
from keyhall.policy.forms import written
from keyhall.policy.forms.spreadsheet import harmless
from keyhall.policy.people.acts import SAYS, says, says_alone
from keyhall.ports.records import AuditRow
from keyhall.stores.operate import acts
from keyhall.stores.operate.acts import Wanted

PAGE = 50
EXPORTED_MAX = 20_000
SOUGHT_MAX = 200  # characters
DAY_US = 86_400_000_000
COLUMNS = ("number", "at", "who", "name", "origin", "action", "target", "target_name", "before",
           "after")  # fmt: skip


def _wanted(ask: Ask) -> Wanted:
    before = written.whole(ask.query("before"))
    until_us = given.day_us(ask.query("until"), "until")
    return Wanted(
        action=ask.query("action").strip()[:SOUGHT_MAX],
        who=ask.query("who").strip()[:SOUGHT_MAX],
        target=ask.query("target").strip()[:SOUGHT_MAX],
        since_us=given.day_us(ask.query("since"), "since"),
        until_us=None if until_us is None else until_us + DAY_US,
        before_number=before,
    )


def _of(ask: Ask) -> str | None:
    """An operator sees all of the hall, unless they ask for the organization they look at."""
    if ask.person.may("operate") and ask.query("where") != "here":
        return None
    return ask.person.sight.organization_id


async def _rows(ask: Ask, wanted: Wanted, limit: int) -> tuple[list[AuditRow], dict[str, str]]:
    async with ask.store.reading() as connection:
        rows = await acts.page(connection, _of(ask), wanted, limit)
        ids = {row.who.removeprefix("account:") for row in rows}
        for row in rows:
            ids |= {*row.target.split("/"), _scope(row)}
        return rows, await acts.names(connection, list(ids))


def _who(row: AuditRow, names: dict[str, str]) -> str:
    return names.get(row.who.removeprefix("account:"), "")


def _target(row: AuditRow, names: dict[str, str]) -> str:
    """The last of a target's ids that has a name: of a member, the account; of a budget, whose."""
    ids = [*reversed(row.target.split("/")), _scope(row)]
    return next((names[each] for each in ids if each in names), "")


def _scope(row: AuditRow) -> str:
    """Whose a budget is, as the act itself says it; one that was removed is nowhere else."""
    if not row.action.startswith("quota."):
        return ""
    facts = msgspec.json.decode(row.after or row.before or "{}")
    return str(facts.get("scope_id", ""))


async def show(ask: Ask) -> Response:
    error: Refused | None = None
    try:
        wanted = _wanted(ask)
    except Refused as refused:
        error, wanted = refused, Wanted()
    rows, names = await _rows(ask, wanted, PAGE + 1)
    shown = [_shown(row, names) for row in rows[:PAGE]]
    return ask.page(
        "organization/audit.html",
        400 if error else 200,
        shown=shown,
        older=rows[PAGE - 1].number if len(rows) > PAGE else None,
        faults=given.faults_of(error),
        actions=sorted(SAYS),
        nouns=sorted({each.partition(".")[0] for each in SAYS}),
        is_hall=_of(ask) is None,
        is_filtered=wanted != replace(Wanted(), before_number=wanted.before_number),
    )


def _shown(row: AuditRow, names: dict[str, str]) -> dict[str, Any]:
    found: list[Change] = changes(row.before, row.after)
    alone = says_alone(row.action, row.who, row.target)
    return {
        "row": row,
        "who": _who(row, names),
        "target": "" if alone else _target(row, names),
        "says": alone or says(row.action),
        "changes": found,
    }


async def as_csv(ask: Ask) -> Response:
    rows, names = await _rows(ask, _wanted(ask), EXPORTED_MAX)
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\r\n")
    table.writerow(COLUMNS)
    for row in rows:
        cells = _cells(row, names)
        table.writerow([harmless(each) if isinstance(each, str) else each for each in cells])
    return file(out.getvalue(), "text/csv; charset=utf-8", "audit.csv")


def _cells(row: AuditRow, names: dict[str, str]) -> tuple[Any, ...]:
    return (
        row.number,
        stamp(row.at_us),
        row.who,
        _who(row, names),
        row.origin,
        row.action,
        row.target,
        _target(row, names),
        row.before or "",
        row.after or "",
    )


async def as_json(ask: Ask) -> Response:
    rows, names = await _rows(ask, _wanted(ask), EXPORTED_MAX)
    told = [
        dict(zip(COLUMNS, _cells(row, names), strict=True))
        | {
            "before": msgspec.Raw((row.before or "null").encode()),
            "after": msgspec.Raw((row.after or "null").encode()),
        }
        for row in rows
    ]
    return file(msgspec.json.encode(told), "application/json", "audit.json")


ROUTES = (
    Page("GET", "/audit", show, "audit.read"),
    Page("GET", "/audit.csv", as_csv, "audit.read"),
    Page("GET", "/audit.json", as_json, "audit.read"),
)
