"""What the playground's script asks the console for. It calls models itself, with a key of its own,
as any program does: `/v1` reads no cookie, and the console no Authorization header.
"""

import os
from typing import Any

import msgspec
from starlette.responses import Response

from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.errors import ApiError
from keyhall.flows.manage.checks import NotFound, Refused
from keyhall.flows.playground import count as counting
from keyhall.flows.playground import keys
from keyhall.policy.keys import ENTROPY_BYTES
from keyhall.policy.tiers import FREE_TRIAL
from keyhall.stores import organizations
from keyhall.wire.reference.explain import explain as row_of


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def _refused(said: str, status: int = 400) -> Response:
    return _json({"said": said}, status)


async def make_key(ask: Ask) -> Response:
    """A key for the page that is open: shown to its script once, and kept in its memory."""
    try:
        fresh = await keys.make(
            ask.store,
            ask.person,
            mode=ask.text("mode"),
            project_id=ask.text("project"),
            pepper=ask.console.peppers[0],
            entropy=os.urandom(ENTROPY_BYTES),
            **ask.by,
        )
    except Refused as error:
        return _refused(str(error), 404 if isinstance(error, NotFound) else 400)
    key = fresh.key
    return _json(
        {
            "id": key.id,
            "key": fresh.text.reveal(),
            "masked": key.masked,
            "mode": key.mode,
            "tier": key.tier,
            "project": key.project_name,
            "lives_ms": keys.LIFE_US // 1000,
        }
    )


async def count(ask: Ask) -> Response:
    """The tokens of a chat request, which is the field `request` of the form."""
    async with ask.store.reading() as connection:
        found = await organizations.find_organization(connection, ask.person.organization_id)
    name = found[0].tier if found else None
    tier = ask.console.tiers().get(name or FREE_TRIAL.name, FREE_TRIAL)
    try:
        counted = await counting.count(ask.text("request").encode(), ask.console.hall, tier)
    except (ApiError, UnicodeEncodeError) as error:
        return _refused(str(error))
    return _json(counted)


async def explain(ask: Ask) -> Response:
    """What a refusal of `/v1` means, and what to do about it."""
    status = ask.text("status")
    known = int(status) if status.isdecimal() and len(status) == 3 else None
    row = row_of(known, ask.text("message"))
    if row is None:
        return _json(None)
    said = {"name": row.name, "advice": row.advice, "retry": row.retry}
    return _json(said | {"href": f"/docs/errors#{row.name}"})


ROUTES = (
    Page("POST", "/playground/key", make_key, "playground"),
    Page("POST", "/playground/count", count, "playground"),
    Page("POST", "/playground/explain", explain, "playground"),
)
