"""The API's description is of the routes that exist: a new one without its words fails here."""

from types import SimpleNamespace

from starlette.routing import Route

from keyhall.api.app import web
from keyhall.lane import routes as lane
from keyhall.wire.chat import ChatRequest
from keyhall.wire.reference.document import document
from keyhall.wire.reference.fields import FIELDS


def _described() -> set[tuple[str, str]]:
    paths = document("http://here", "1")["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods}


def _lane() -> set[tuple[str, str]]:
    table = {path.decode(): methods for path, methods in lane.ROUTES.items()}
    table[lane.REVIEW_PREFIX.decode() + "{id}"] = lane.REVIEW_ROUTE
    table[lane.MODEL_PREFIX.decode() + "{model}"] = lane.MODEL_ROUTE
    return {(method.decode(), path) for path, methods in table.items() for method in methods}


def _web() -> set[tuple[str, str]]:
    """Those of the programs' application, without the page that stands for the console."""
    app = web(SimpleNamespace(url="http://here"), None, behind=lambda *_: None)._inside
    return {
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route)
        for method in route.methods
    }


def test_every_route_is_described_and_what_is_described_exists() -> None:
    exist = {pair for pair in _lane() | _web() if pair[0] != "HEAD"}  # HEAD goes with GET.
    assert _described() == exist


def test_every_field_of_a_request_has_its_sentence() -> None:
    assert set(FIELDS) == set(ChatRequest.__struct_fields__)
    assert all(says.endswith(".") for says in FIELDS.values())
