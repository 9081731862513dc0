"""Which answers of a project people look at, and the pairs that may be exported."""

import os
from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse

from keyhall.console import given
from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.console.pages.review.queue import desk_of
from keyhall.flows.manage.checks import NotFound, Refused
from keyhall.flows.review import learning, telling
from keyhall.flows.review import rules as manage
from keyhall.policy.forms import written
from keyhall.policy.review.rules import AT_DEADLINES, HOLDS, HOUR_S, AtDeadline, Hold, Rules
from keyhall.ports.records import Project
from keyhall.stores import organizations
from keyhall.stores.review import calls

CALLS_SHOWN = 10
CONSENT = "leave"


async def _find(ask: Ask) -> Project:
    """Another organization's answers as one that is not there."""
    async with ask.store.reading() as connection:
        found = await organizations.find_project(connection, ask.path("project"))
    mine = [
        each
        for each in found
        if each.organization_id == ask.person.organization_id and each.id == ask.path("project")
    ]
    if not mine:
        raise NotFound("There is no such project in this organization.")
    return mine[0]


async def show(ask: Ask) -> Response:
    return await _page(ask, await _find(ask))


async def _page(ask: Ask, project: Project, error: Refused | None = None) -> Response:
    rules = project.review
    async with ask.store.reading() as connection:
        told = await calls.newest(connection, [project.id], CALLS_SHOWN)
    is_operator = ask.person.may("operate")
    secret = telling.secret_of(ask.console.peppers[0], project.id) if is_operator else None
    form = given.sent(
        ask,
        hold=rules.hold,
        flagged="yes" if rules.flagged else "",
        feedback="yes" if rules.feedback else "",
        sample=f"{rules.sample / 10:g}",
        people=rules.people,
        hours=f"{rules.deadline_s / HOUR_S:g}",
        at_deadline=rules.at_deadline,
        export=CONSENT if rules.export else "",
        webhook=rules.webhook,
    )
    return ask.page(
        "review/rules.html",
        400 if error else 200,
        project=project,
        rules=rules,
        form=form,
        faults=given.faults_of(error),
        holds=HOLDS,
        ends=AT_DEADLINES,
        calls=told,
        is_operator=is_operator,
        secret=None if secret is None or not rules.webhook else secret.reveal(),
        may_write=ask.person.may("organization.write"),
    )


def _rules(ask: Ask) -> Rules:
    """Raises Refused."""
    holds: dict[str, Hold] = {each: each for each in HOLDS}
    ends: dict[str, AtDeadline] = {each: each for each in AT_DEADLINES}
    try:
        hours = float(ask.text("hours") or "24")
    except ValueError:
        raise given.Fault("hours", "Write a number of hours, such as 24 or 0.5.") from None
    if not 0 < hours <= 24 * 90:
        raise given.Fault("hours", "A deadline is from one minute to 90 days.")
    people = written.whole(ask.text("people") or "1")
    sample = given.tenths(ask, "sample") or 0
    if not 0 <= sample <= 1_000:
        raise given.Fault("sample", "A sample is from 0 to 100 percent.")
    return Rules(
        hold=holds.get(ask.text("hold"), "never"),
        flagged=ask.text("flagged") == "yes",
        feedback=ask.text("feedback") == "yes",
        sample=sample,
        people=people or 1,
        deadline_s=max(60, round(hours * HOUR_S)),
        at_deadline=ends.get(ask.text("at_deadline"), "refuse"),
        export=ask.text("export") == CONSENT,
    )


async def change(ask: Ask) -> Response:
    project = await _find(ask)
    try:
        if ask.person.role is None:
            raise Refused("Only a member of the organization lets people look at its answers.")
        await manage.set_rules(ask.store, project.id, _rules(ask), **ask.by)
    except Refused as error:
        return await _page(ask, project, error)
    return ask.go(f"/projects/{project.id}/review", "These rules hold from the next answer on.")


async def webhook(ask: Ask) -> Response:
    project = await _find(ask)
    try:
        await manage.set_webhook(ask.store, project.id, ask.text("webhook"), **ask.by)
    except Refused as error:
        return await _page(ask, project, given.Fault("webhook", str(error)))
    return ask.go(f"/projects/{project.id}/review", "Decisions are told there from now on.")


async def export(ask: Ask) -> Response:
    """As a file, line by line: an error that comes first is a page."""
    lines = learning.exported(desk_of(ask), ask.person.organization_id, **ask.by)
    first = await anext(lines, b"")

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for line in lines:
            yield line

    name = f"keyhall-reviewed-{os.urandom(3).hex()}.jsonl"
    return StreamingResponse(
        whole(),
        media_type="application/jsonl",
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


ROUTES = (
    Page("GET", "/projects/{project}/review", show, "organization.write"),
    Page("POST", "/projects/{project}/review", change, "organization.write"),
    Page("POST", "/projects/{project}/review/webhook", webhook, "operate"),
    Page("POST", "/reviews/export", export, "organization.write"),
)
