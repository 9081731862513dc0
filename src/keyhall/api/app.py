"""The ASGI application beside the lane: everything that is not `/v1`."""

import os
from collections.abc import Mapping
from html import escape

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keyhall import errors
from keyhall.api import health
from keyhall.api.callers import has_admin_key, is_local
from keyhall.api.health import Health
from keyhall.errors import ApiError
from keyhall.flows.hall import Hall
from keyhall.wire.chat_write import encode_error
from keyhall.wire.headers import NO_PAGE, for_browsers

_FRONT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Keyhall</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.6 system-ui, sans-serif; max-width: 42rem; margin: 10vh auto;
       padding: 0 1rem }}
h1 {{ font-size: 1.4rem }}
pre {{ padding: .8rem 1rem; border: 1px solid color-mix(in srgb, currentColor 25%, transparent);
       border-radius: .5rem; overflow-x: auto; font-size: .85rem }}
</style>
<h1>Keyhall is running</h1>
<p>It answers OpenAI's API at <code>{url}/v1</code>. Point any OpenAI client at it:</p>
<pre>from openai import OpenAI

client = OpenAI(base_url="{url}/v1", api_key="sk-kh_...")
answer = client.chat.completions.create(
    model="v1", messages=[{{"role": "user", "content": "Hello"}}])
print(answer.choices[0].message.content)</pre>
<p>A key is made on the machine that runs it: <code>keyhall keys create --name mine</code>.
Health: <a href="/healthz">/healthz</a>, <a href="/readyz">/readyz</a>.</p>
</html>
"""

_ECHO_MAX = 200  # characters of a request that an error repeats
_ID_BYTES = 16
_UNLESS_SAID = ((b"content-security-policy", NO_PAGE), (b"cache-control", b"no-store"))
_ID = "keyhall.request_id"  # where a request's scope keeps it

_SAFE = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "referrer-policy": "no-referrer",
}


async def front(request: Request) -> Response:
    """A page for whoever opens the address in a browser where no console is served."""
    url = escape(request.app.state.hall.url.rstrip("/"))
    return HTMLResponse(_FRONT.format(url=url), headers=_SAFE)


async def metrics(request: Request) -> Response:
    """Answers loopback, or an admin key in the Authorization header (R26)."""
    from keyhall.api import metrics as shown  # A start that nobody scrapes does without it.

    state = request.app.state
    if not is_local(request, state.hall) and not await has_admin_key(request, state.hall):
        words = "Metrics are for this machine, or for an admin key in the Authorization header.\n"
        return PlainTextResponse(words, 403)
    if state.registry is None:
        state.registry = shown.registry_of(state.hall)
    return Response(shown.text_of(state.registry), media_type=shown.CONTENT_TYPE)


async def refused(request: Request, error: Exception) -> Response:
    """Every error outside `/v1` has the table's shape too."""
    assert isinstance(error, HTTPException)
    row = errors.METHOD_REFUSED if error.status_code == 405 else errors.ROUTE_UNKNOWN
    method, path = request.method[:_ECHO_MAX], request.scope["path"][:_ECHO_MAX]
    return _told(ApiError(row, method=method, path=path), error.headers)


async def denied(_request: Request, error: Exception) -> Response:
    """A row of the table, with its own headers."""
    assert isinstance(error, ApiError)
    headers = {name.decode(): value.decode() for name, value in error.headers}
    return _told(error, headers)


async def failed(request: Request, error: Exception) -> Response:
    """A mistake of ours; it stands in the log under the id that the answer names."""
    request_id = request.scope[_ID]
    request.app.state.hall.log_failure(request_id, error)
    return _told(ApiError(errors.INTERNAL, request_id=f"req_{request_id}"), None)


def _told(error: ApiError, headers: Mapping[str, str] | None) -> Response:
    status, body = error.problem.status, encode_error(error)
    return Response(body, status, headers, media_type="application/json")


class Marked:
    """What every answer carries: an id of its own, what browsers are told, and, unless it says
    otherwise, that it is no page and is kept by nobody."""

    def __init__(self, inside: ASGIApp, url: str) -> None:
        self._inside = inside
        self._lines = for_browsers(url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = scope[_ID] = os.urandom(_ID_BYTES).hex()
        lines = [
            (b"x-request-id", b"req_" + request_id.encode()),
            *self._lines,
        ]

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message["headers"]
                names = {name for name, _ in given}
                unsaid = [line for line in _UNLESS_SAID if line[0] not in names]
                message = {**message, "headers": [*given, *unsaid, *lines]}
            await send(message)

        await self._inside(scope, receive, send_marked)


def web(hall: Hall, state: Health, behind: ASGIApp | None = None) -> ASGIApp:
    """`behind` answers what is none of these: the console."""
    app = Starlette(
        routes=[
            *([Route("/", front)] if behind is None else []),
            Route("/healthz", health.healthz),
            Route("/livez", health.healthz),
            Route("/readyz", health.readyz),
            Route("/metrics", metrics),
        ],
        exception_handlers={404: refused, 405: refused, ApiError: denied, 500: failed},
    )
    app.router.redirect_slashes = False  # It would send people to whatever Host they named.
    if behind is not None:
        app.router.default = behind
    app.state.hall = hall
    app.state.health = state
    app.state.registry = None
    return Marked(app, hall.url)
