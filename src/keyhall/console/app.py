"""The console as an ASGI application: the route table behind the gate."""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keyhall.console import gate, static
from keyhall.console.context import Console
from keyhall.console.gate import Page
from keyhall.console.routes import ROUTES

_WORDS = {
    404: ("There is no such page", "The address may be mistyped, or the page is gone."),
    405: ("Not that way", "This address takes no such request."),
    413: ("Too large", "A form has at most 1 MiB."),
    415: ("Not a form", "A form was expected."),
}


Plain = Callable[[Request, Exception], Awaitable[Response]]


def pages(console: Console, plain: Plain) -> ASGIApp:
    """Everything that people see in a browser. `plain` refuses what a program asks for that is not
    there, in the error table's shape."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if "text/html" not in request.headers.get("accept", ""):
            return await plain(request, error)
        title, said = _WORDS.get(error.status_code, ("That was not done", error.detail))
        return await gate.not_there(console, request, error.status_code, title, said)

    async def failed(request: Request, error: Exception) -> Response:
        request_id = request.scope.get("keyhall.request_id", "")
        console.hall.log_failure(request_id, error)
        said = f"The mistake is ours, and stands in the server's log as req_{request_id}."
        return await gate.problem(console, request, 500, "Something broke", said)

    routes = [_route(console, page) for page in ROUTES]
    routes.append(Route(f"{static.PREFIX}{{name:path}}", static.serve))
    routes.append(Route("/favicon.ico", static.icon))
    app = Starlette(routes=routes, exception_handlers={HTTPException: refused, 500: failed})
    app.router.redirect_slashes = False
    return _Safe(app)


class _Safe:
    """Puts the headers on that every answer carries, files and refusals too."""

    def __init__(self, inside: ASGIApp) -> None:
        self._inside = inside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=list(message["headers"]))
                for name, value in gate.SAFE_HEADERS.items():
                    headers.setdefault(name, value)
                message = {**message, "headers": headers.raw}
            await send(message)

        await self._inside(scope, receive, send_safe)


def _route(console: Console, page: Page) -> Route:
    async def endpoint(request: Request) -> Response:
        return await gate.answer(console, page, request)

    return Route(page.path, endpoint, methods=[page.method])
