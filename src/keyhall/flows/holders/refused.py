"""Why was I refused? A request's id, and the numbers of the decision in words."""

import re
from dataclasses import dataclass
from typing import Any

import msgspec

from keyhall import errors
from keyhall.errors import Problem
from keyhall.flows.manage.checks import Invalid, NotFound
from keyhall.policy.metering import Outcome, Usage
from keyhall.ports.people import Sight
from keyhall.ports.requests import Refusal
from keyhall.stores.holders import refusals, traffic
from keyhall.stores.sql import SqlStore

_ID = re.compile(r"(?:req_)?[0-9a-f]{32}")

ENDED: dict[Outcome, str] = {
    Outcome.ANSWERED: "was admitted and answered to its end",
    Outcome.CLIENT_LEFT: "was admitted; the client closed the connection before the end",
    Outcome.ENGINE_FAILED: "was admitted, and then the model's engine failed",
    Outcome.KEY_REVOKED: "was admitted, and cut because its key was revoked while it ran",
    Outcome.CRASHED: "was admitted, and cut by a crash of the server",
    Outcome.STOPPED: "was admitted, and cut when the server was stopped",
    Outcome.STALLED: "was admitted, and cut because the client stopped reading",
}


@dataclass(frozen=True, slots=True)
class Because:
    """What became of a request: it was refused, or it was not and `usage` says how it ended."""

    refusal: Refusal | None = None
    problem: Problem | None = None
    sentence: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    usage: Usage | None = None


async def because(store: SqlStore, sight: Sight, request_id: str) -> Because:
    """Raises Invalid for what is no id, NotFound for one that nothing is known of."""
    wanted = request_id.strip().lower()
    if not _ID.fullmatch(wanted):
        raise Invalid("A request's id is req_ and 32 digits: the x-request-id of its answer.")
    async with store.reading() as connection:
        refusal = await refusals.find(connection, sight, wanted)
        if refusal is not None:
            return explained(refusal)
        usage = await traffic.find(connection, sight, wanted.removeprefix("req_"))
    if usage is None:
        raise NotFound(
            "Nothing is known of that request. Refusals without a valid key are not kept, and the "
            "others for some days only."
        )
    return Because(usage=usage)


def explained(refusal: Refusal) -> Because:
    """The refusal's own sentence, where its facts still fill it."""
    problem = errors.TABLE.get(refusal.row)
    facts = _facts(refusal.facts)
    sentence = ""
    if problem is not None:
        try:
            sentence = problem.message.format(**facts)
        except (KeyError, IndexError, ValueError):
            sentence = ""
    told = tuple((name.replace("_", " "), str(value)) for name, value in facts.items())
    return Because(refusal, problem, sentence, told)


def _facts(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}
