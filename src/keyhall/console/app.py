"""The console as an ASGI application: the route table behind the gate."""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

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
        response = await gate.not_there(console, request, error.status_code, title, said)
        response.headers.update(gate.SAFE_HEADERS)
        return response

    async def failed(request: Request, error: Exception) -> Response:
        request_id = request.scope.get("keyhall.request_id", "")
        console.hall.log_failure(request_id, error)
        said = f"The mistake is ours, and stands in the server's log as req_{request_id}."
        response = await gate.problem(console, request, 500, "Something broke", said)
        response.headers.update(gate.SAFE_HEADERS)
        return response

    routes = [_route(console, page) for page in ROUTES]
    routes.append(Route(f"{static.PREFIX}{{name:path}}", static.serve))
    app = Starlette(routes=routes, exception_handlers={HTTPException: refused, 500: failed})
    app.router.redirect_slashes = False
    return app


def _route(console: Console, page: Page) -> Route:
    async def endpoint(request: Request) -> Response:
        return await gate.answer(console, page, request)

    return Route(page.path, endpoint, methods=[page.method])
