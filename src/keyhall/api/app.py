"""The ASGI application beside the lane: everything that is not `/v1`."""

from html import escape

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from keyhall import errors
from keyhall.api import health, metrics
from keyhall.api.health import Health
from keyhall.errors import ApiError
from keyhall.flows.hall import Hall
from keyhall.wire.chat_write import encode_error

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

_SAFE = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


async def front(request: Request) -> Response:
    """A page for whoever opens the address in a browser, until the console stands there."""
    url = escape(request.app.state.hall.url.rstrip("/"))
    return HTMLResponse(_FRONT.format(url=url), headers=_SAFE)


async def not_found(request: Request, error: Exception) -> Response:
    """Every error outside `/v1` has the table's shape too."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    facts = {"method": request.method[:200], "path": request.scope["path"][:200]}
    row = errors.METHOD_REFUSED if status == 405 else errors.ROUTE_UNKNOWN
    body = encode_error(ApiError(row, **facts))
    return Response(body, status_code=row.status, media_type="application/json")


def web(hall: Hall, state: Health) -> Starlette:
    app = Starlette(
        routes=[
            Route("/", front),
            Route("/healthz", health.healthz),
            Route("/livez", health.healthz),
            Route("/readyz", health.readyz),
            Route("/metrics", metrics.metrics),
        ],
        exception_handlers={404: not_found, 405: not_found},
    )
    app.state.hall = hall
    app.state.health = state
    app.state.registry = metrics.registry_of(hall)
    return app
