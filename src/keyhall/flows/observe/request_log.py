"""Requests in the log, as `log.requests` says: none, those that failed, or one wide line for each.

What a line holds is ours or counted: ids, names of records and rows, numbers. Of what a caller
sent it holds the method, the path without its query, the key as lists show it, and an id that is
checked before. Made only when the setting asks for it: a hall without it tests one attribute.
"""

import logging
from typing import Any

from keyhall.clock import Clock
from keyhall.errors import ApiError
from keyhall.policy import keys
from keyhall.policy.metering import Usage
from keyhall.ports.exchange import ClientLeft, Exchange, Running, Stalled, Stopped

PATH_BYTES_MAX = 200
CLIENT_ID_BYTES_MAX = 128

_log = logging.getLogger("keyhall")
_ID_BYTES = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_REFUSED_CALLERS = (401, 403)
_LENGTHS = (20, 100)  # of passwords; of keys and tokens


class RequestLog:
    """Knows, between a request's settlement and its end, what was used."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._settled: dict[bytes, Usage] = {}

    def settled(self, request: Running, usage: Usage) -> None:
        """Called when a request's tab is closed; `ended` or `drained` follows in the same step."""
        self._settled[request.request_id] = usage

    def ended(self, exchange: Exchange, error: BaseException | None) -> None:
        """One wide line for a request, whatever became of it."""
        facts = self._facts(exchange, error)
        usage = self._settled.pop(exchange.request_id, None)
        if usage is not None:
            facts |= _used(usage)
        _log.log(_level(_row_status(error) or facts["status"]), "request", facts)

    def drained(self, request_id: bytes) -> None:
        """A second line for a request that has gone on without its client, now that it is over."""
        usage = self._settled.pop(request_id)
        took_ms = (usage.finished_at_us - usage.admitted_at_us) / 1000
        facts = {"request_id": "req_" + request_id.hex(), **_used(usage), "duration_ms": took_ms}
        _log.info("drained", facts)

    def failed(self, exchange: Exchange, error: BaseException) -> None:
        """A line if the caller was turned away at the door, or we failed them. What is no row of
        the table has a line of its own (`Hall.log_failure`)."""
        if isinstance(error, ApiError):
            status = error.problem.status
            if status >= 500 or status in _REFUSED_CALLERS:
                _log.log(_level(status), "request", self._facts(exchange, error))

    def _facts(self, exchange: Exchange, error: BaseException | None) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "request_id": "req_" + exchange.request_id.hex(),
            "method": exchange.method.decode("ascii", "replace"),
            "path": _without_key(exchange.path)[:PATH_BYTES_MAX].decode("ascii", "replace"),
            "status": _status(exchange, error),
        }
        if isinstance(error, ApiError):
            facts["row"] = error.problem.name
            if error.problem.status in _REFUSED_CALLERS:
                facts |= {"ip": exchange.client_ip, "key": _masked(exchange.authorization)}
        client_id = exchange.client_request_id
        if client_id is not None and _is_id(client_id):
            facts["client_request_id"] = client_id.decode()
        facts["duration_ms"] = (self._clock.now_us() - exchange.started_us) / 1000
        return facts


def _used(usage: Usage) -> dict[str, Any]:
    return {
        "key": usage.key_id,
        "version": usage.version,
        "is_stream": usage.is_stream,
        "is_test": usage.is_test,
        "outcome": usage.outcome.name.lower(),
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "counted_by": usage.usage_source.name.lower(),
        "cost_nano": usage.cost_nano,
        "first_byte_ms": usage.first_byte_us / 1000,
    }


def _row_status(error: BaseException | None) -> int | None:
    return error.problem.status if isinstance(error, ApiError) else None


def _status(exchange: Exchange, error: BaseException | None) -> int | None:
    """What the client was told: 200 too where an answer that had begun failed later; None if it
    left before it was told anything."""
    if error is None or exchange.answered_us:
        return 200
    if isinstance(error, ApiError):
        return error.problem.status
    if isinstance(error, ClientLeft | Stalled | Stopped):
        return 200 if exchange.has_started else None
    return 500


def _level(status: int | None) -> int:
    if status is None or status < 400:
        return logging.INFO
    if status >= 500:
        return logging.ERROR
    return logging.WARNING if status in _REFUSED_CALLERS else logging.INFO


def _without_key(path: bytes) -> bytes:
    """Keys are pasted into addresses too: what begins like one is left out."""
    before, found, _ = path.partition(b"sk-")
    return before + found + b"..." if found else path


def _masked(authorization: bytes | None) -> str | None:
    if authorization is None:
        return None
    text = authorization.rpartition(b" ")[2].decode("latin-1")
    if keys.parse(text):
        return keys.mask_ours(text)
    if text.startswith("sk-"):
        return keys.mask(text[:PATH_BYTES_MAX])
    return _length_class(len(text))


def _length_class(characters: int) -> str:
    """Of what is no key, and may be somebody's password: not even its ends."""
    for less_than in _LENGTHS:
        if characters < less_than:
            return f"(no key, under {less_than} characters)"
    return f"(no key, {_LENGTHS[-1]} characters or more)"


def _is_id(text: bytes) -> bool:
    is_short = 0 < len(text) <= CLIENT_ID_BYTES_MAX
    return is_short and _ID_BYTES.issuperset(text) and b"sk-" not in text
