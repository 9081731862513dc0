"""`/usage`: what was used over time, with its data and exports by the same address."""

from dataclasses import replace
from typing import Any

import msgspec
from starlette.responses import Response

from keyhall.console import cells
from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.console.pages.usage import asking, figures
from keyhall.flows.observe import limit_lines, over_time
from keyhall.flows.observe.limit_lines import Line
from keyhall.flows.observe.over_time import Answer
from keyhall.ports.usage import Asked


async def _answered(ask: Ask, asked: Asked) -> tuple[Answer, Line | None]:
    sight = ask.person.sight
    found = await over_time.answer(ask.store, sight, asked, ask.console.closed)
    line = None
    if found.asked.span.grain == "minute":
        tiers = ask.console.tiers()
        line = await limit_lines.line(ask.store, sight, asked.only, tiers, ask.now_us)
    return found, line


async def show(ask: Ask) -> Response:
    asked, form = await asking.asked(ask)
    found, line = await _answered(ask, asked)
    offered = await asking.choices(ask, form)
    return ask.page(
        "usage/usage.html",
        form=form,
        offered=offered,
        found=found,
        line=line,
        figures=figures.figures(found),
        tables=figures.tables(found),
        command=asking.command(found.asked, form, ask.person.organization_id),
        data_address=_address(ask, "/usage/data"),
        export_address=_address(ask, "/usage/export"),
        is_empty=not (found.total.requests or found.total.refused),
    )


def _address(ask: Ask, path: str) -> str:
    query = ask.request.url.query
    return f"{path}?{query}" if query else path


async def data(ask: Ask) -> Response:
    asked, form = await asking.asked(ask)
    found, line = await _answered(ask, asked)
    return _json(figures.data(found, line, is_open=form.is_open))


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


async def export(ask: Ask) -> Response:
    """All points of all groups: as a file."""
    asked, form = await asking.asked(ask)
    asked = replace(asked, compares=False)
    found = await over_time.answer(ask.store, ask.person.sight, asked, ask.console.closed)
    name = f"usage-{figures.iso(found.asked.span.begins_us)[:10]}-{form.by}"
    if ask.query("format") == "json":
        response = _json(figures.data(found, None, is_open=form.is_open))
        name += ".json"
    else:
        text = cells.table(figures.HEAD, figures.rows(found))
        response = Response(text, media_type="text/csv; charset=utf-8")
        name += ".csv"
    response.headers["content-disposition"] = f'attachment; filename="{name}"'
    return response


ROUTES = (
    Page("GET", "/usage", show, "usage.read"),
    Page("GET", "/usage/data", data, "usage.read"),
    Page("GET", "/usage/export", export, "usage.read"),
)
