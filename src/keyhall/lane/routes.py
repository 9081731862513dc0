"""Which flow answers which path under `/v1`: the one list of the lane's routes."""

from collections.abc import Callable, Coroutine
from typing import Any

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.flows.complete import complete
from keyhall.flows.filters.moderate import moderate
from keyhall.flows.hall import Hall
from keyhall.flows.leaks.report import take_report
from keyhall.flows.list_models import list_models, show_model
from keyhall.flows.review.feedback import give_feedback
from keyhall.flows.review.fetching import PREFIX as REVIEW_PREFIX
from keyhall.flows.review.fetching import show_review
from keyhall.lane.exchange import LaneExchange
from keyhall.ports.exchange import Exchange

Flow = Callable[[Exchange, Hall], Coroutine[Any, Any, None]]

ROUTES: dict[bytes, dict[bytes, Flow]] = {
    b"/v1/chat/completions": {b"POST": complete},
    b"/v1/keyhall/feedback": {b"POST": give_feedback},
    b"/v1/moderations": {b"POST": moderate},
    b"/v1/models": {b"GET": list_models, b"HEAD": list_models},
    b"/v1/keyhall/leaks": {b"POST": take_report},
}
MODEL_PREFIX = b"/v1/models/"
REVIEW_ROUTE: dict[bytes, Flow] = {b"GET": show_review}
MODEL_ROUTE: dict[bytes, Flow] = {b"GET": show_model, b"HEAD": show_model}

_ECHO_MAX = 200  # characters of a path that an error repeats


async def _refuse(exchange: Exchange, problem: ApiError) -> None:
    raise problem


def flow_of(exchange: LaneExchange, hall: Hall) -> Coroutine[Any, Any, None]:
    """The coroutine that answers this exchange, an error if nothing does."""
    if exchange.problem is not None:
        return _refuse(exchange, exchange.problem)
    methods = ROUTES.get(exchange.path)
    if methods is None:
        if exchange.path.startswith(REVIEW_PREFIX):
            methods = REVIEW_ROUTE
        elif exchange.path.startswith(MODEL_PREFIX) and len(exchange.path) > len(MODEL_PREFIX):
            methods = MODEL_ROUTE
        else:
            return _refuse(exchange, _unknown(exchange))
    flow = methods.get(exchange.method)
    if flow is None:
        return _refuse(exchange, _wrong_method(exchange, methods))
    return flow(exchange, hall)


def _shown(raw: bytes) -> str:
    return raw[:_ECHO_MAX].decode("ascii", "replace")


def _unknown(exchange: LaneExchange) -> ApiError:
    return ApiError(
        errors.ROUTE_UNKNOWN, method=_shown(exchange.method), path=_shown(exchange.path)
    )


def _wrong_method(exchange: LaneExchange, methods: dict[bytes, Flow]) -> ApiError:
    return ApiError(
        errors.METHOD_REFUSED,
        headers=((b"allow", b", ".join(methods)),),
        method=_shown(exchange.method),
        path=_shown(exchange.path),
    )
