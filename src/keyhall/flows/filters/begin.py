"""Where the filter stands in the way of a request: behind its reading, before anything is counted.

A text that is blocked is refused before any byte of an answer. It costs no tokens and counts as a
request, as the platform's contract has it: otherwise a key could try the filter as fast as it can
send. So it holds nothing but its place, which is settled at once.
"""

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.flows import admit
from keyhall.flows.callers import Caller
from keyhall.flows.filters.screen import Blocked, Screen, header
from keyhall.flows.hall import Hall
from keyhall.policy.catalogue import Version
from keyhall.policy.limits import Refused
from keyhall.ports.exchange import Exchange
from keyhall.wire.chat import ChatRequest


async def begin(
    request: ChatRequest,
    caller: Caller,
    exchange: Exchange,
    version: Version,
    hall: Hall,
) -> Screen:
    """The screen of a request whose caller is under rules, after its input has passed. Raises
    ApiError."""
    rules = caller.filter
    assert rules is not None
    policy = rules.ready() or await rules.compiled()
    screen = Screen(policy, rules, caller.grant, hall)
    blocked: Blocked | None = None
    try:
        await screen.input(request)
    except Blocked as found:
        blocked = found
    finally:
        screen.close()
    if blocked is not None:  # Not in the handler: no refusal carries what knows the text (I-13).
        raise await counted(_refusal(blocked), caller, version, hall)
    return screen


async def counted(refusal: ApiError, caller: Caller, version: Version, hall: Hall) -> ApiError:
    """A refusal for what a text says: it costs no tokens and counts as a request. The one of the
    limit instead, if that is used up."""
    taken = await hall.counters.hold(caller.effective.windows, 0)
    if isinstance(taken, Refused):
        return admit.limited(taken, version.name, caller, hall)
    hall.counters.settle(taken, 0)
    return refusal


def _refusal(blocked: Blocked) -> ApiError:
    rule = blocked.rule
    return ApiError(
        errors.CONTENT_BLOCKED,
        param=blocked.where,
        headers=((b"x-keyhall-filter", header("block", rule.id, blocked.view).encode()),),
        rule=rule.id,
        where=f"{blocked.where}, {blocked.view}" if blocked.view else blocked.where,
        reason=f" {rule.reason}" if rule.reason else "",
    )
