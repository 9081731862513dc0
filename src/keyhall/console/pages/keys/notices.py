"""Notices to owners of keys: that one leaked, or is used from many places; and what closes them."""

from starlette.responses import Response

from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.console.pages.keys.showing import shown, to_change
from keyhall.flows.leaks import closing
from keyhall.flows.manage.checks import Invalid, NotFound, Refused
from keyhall.ports.records import Key

_SAID = "The notice is closed."
_EXPECTED = "The notice is closed; you are told again at twice as many networks."


async def close(ask: Ask) -> Response:
    return await _closed(ask, is_expected=False)


async def expect(ask: Ask) -> Response:
    return await _closed(ask, is_expected=True)


async def _closed(ask: Ask, *, is_expected: bool) -> Response:
    key = await to_change(ask)
    try:
        await closing.close(ask.store, key, _number(ask), is_expected=is_expected, **ask.by)
    except Invalid as error:
        return await _refused(ask, key, error)
    return ask.go(f"/keys/{key.id}", _EXPECTED if is_expected else _SAID)


async def _refused(ask: Ask, key: Key, error: Refused) -> Response:
    return await shown(ask, key, str(error))


def _number(ask: Ask) -> int:
    text = ask.path("number")
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise NotFound("There is no such notice.")
    return int(text)


ROUTES = (
    Page("POST", "/keys/{key_id}/notices/{number}/close", close, "keys.write"),
    Page("POST", "/keys/{key_id}/notices/{number}/expect", expect, "keys.write"),
)
