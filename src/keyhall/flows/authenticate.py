"""Who is it, and may it be here at all? Decided before the body is read."""

import base64
import binascii
from typing import Any

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.flows.callers import Caller
from keyhall.flows.hall import Hall
from keyhall.policy import access
from keyhall.policy.access import Denied
from keyhall.ports.exchange import Exchange


async def authenticate(exchange: Exchange, hall: Hall, endpoint: str) -> Caller:
    """The caller behind the Authorization header, whose key is good for this endpoint."""
    header = exchange.authorization
    if header is None:
        raise ApiError(errors.NO_KEY, url=hall.url)
    text = header[7:] if header[:7] == b"Bearer " else _credential(header, hall)
    callers = hall.callers
    digest = callers.digest(text)
    caller = callers.known.get(digest)
    if caller is None:
        caller = await _stranger(text, digest, hall)
    now_us = exchange.started_us
    if caller.until_us <= now_us:
        await callers.renew(caller)
    exchange.known_lines = caller.lines
    if not caller.is_unrestricted:
        require(caller, exchange, hall, endpoint, None, now_us)
    if exchange.organization is not None or exchange.project is not None:
        _match_owner(caller, exchange)
    if hall.watch is not None:
        address = exchange.client_ip
        if address != caller.place:
            hall.watch.seen(caller, address, now_us)
    caller.last_used_us = now_us
    return caller


async def _stranger(text: bytes, digest: bytes, hall: Hall) -> Caller:
    """The caller for a key that is not known as it was sent."""
    key = text.strip()
    if not key:
        raise ApiError(errors.NO_KEY, url=hall.url)
    callers = hall.callers
    if len(key) != len(text):  # Two spaces behind `Bearer` are as good as one.
        digest = callers.digest(key)
        caller = callers.known.get(digest)
        if caller is not None:
            return caller
    return await callers.look_up(key, digest)


def known_caller(exchange: Exchange, hall: Hall) -> Caller | None:
    """Who it was that `authenticate` let in or turned away, if its key is known still. Asks
    nobody."""
    try:
        text = _credential(exchange.authorization or b"", hall).strip()
    except ApiError:
        return None
    return hall.callers.known.get(hall.callers.digest(text))


async def authenticate_again(
    caller: Caller, exchange: Exchange, hall: Hall, endpoint: str, model: str | None
) -> None:
    """Whether the key is still good, after a wait in which it may have changed or expired."""
    now_us = hall.clock.now_us()
    if caller.until_us <= now_us:
        await hall.callers.renew(caller)
    if not caller.is_unrestricted:
        require(caller, exchange, hall, endpoint, model, now_us)


def require(
    caller: Caller, exchange: Exchange, hall: Hall, endpoint: str, model: str | None, now_us: int
) -> None:
    """Raise the first refusal of R13's order, if there is one."""
    denied = access.decide(
        caller.grant,
        now_us=now_us,
        ip=exchange.client_ip,
        endpoint=endpoint,
        model=model,
    )
    if denied is not None:
        raise denied_error(denied, hall.url)


def denied_error(denied: Denied, url: str) -> ApiError:
    facts: dict[str, Any] = {"url": url, **denied.facts}
    return ApiError(denied.problem, **facts)


def _credential(header: bytes, hall: Hall) -> bytes:
    """The key in any other accepted form: `bearer` in another case, Basic with a blank user."""
    scheme, _, rest = header.partition(b" ")
    rest = rest.strip()
    if scheme.lower() == b"bearer" and rest:
        return rest
    if scheme.lower() == b"basic" and rest:
        try:
            user, colon, password = base64.b64decode(rest, validate=True).partition(b":")
        except binascii.Error:
            raise ApiError(errors.NO_KEY, url=hall.url) from None
        if colon and not user and password:
            return password
    raise ApiError(errors.NO_KEY, url=hall.url)


def _match_owner(caller: Caller, exchange: Exchange) -> None:
    """The OpenAI-Organization and OpenAI-Project headers may repeat what the key says, no more."""
    grant = caller.grant
    organization, project = exchange.organization, exchange.project
    if organization and organization.decode("latin-1") not in (
        grant.organization_id,
        grant.organization_name,
    ):
        raise ApiError(errors.WRONG_ORGANIZATION)
    if project and project.decode("latin-1") not in (grant.project_id, grant.project_name):
        raise ApiError(errors.WRONG_PROJECT)
